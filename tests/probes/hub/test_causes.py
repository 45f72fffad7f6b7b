"""Causes: each has a meaning and a remedy, and fails only where something wrong was measured."""

import pytest

from dgxcert.probes.hub import causes
from dgxcert.probes.hub.diagnosis import Diagnosis, Step

SHELL_BRACES = ("%{http_code}", "%{speed_download}", "${HF_TOKEN_PATH", "${NETRC", "${TMPDIR")


@pytest.mark.parametrize("step", ["dns", "tls", "cas", "cdn", "download", "resume"])
@pytest.mark.parametrize("cause", causes.CAUSES)
def test_every_cause_has_a_meaning_and_a_remedy_without_placeholders(cause: str, step: str) -> None:
    diagnosis = Diagnosis((Step(step, "failed", cause, "host.example", "seen", 0.1),), 1.0)
    assert diagnosis.meaning
    assert diagnosis.remedy
    text = " ".join([diagnosis.meaning, *diagnosis.remedy])
    for braces in SHELL_BRACES:
        text = text.replace(braces, "")
    assert "{" not in text


@pytest.mark.parametrize(
    ("step", "cause", "conclusive"),
    [
        ("settings", "certificate-file", True),
        ("dns", "unknown-host", False),
        ("tcp", "connect-timeout", False),
        ("tcp", "refused", False),
        ("tcp", "proxy-refuses", True),
        ("tls", "tls-untrusted", True),
        ("tls", "timeout", False),
        ("http", "captive-portal", True),
        ("http", "rate-limited", False),
        ("http", "server-error", False),
        ("identity", "bad-token", True),
        ("metadata", "gated", True),
        ("cas", "timeout", True),
        ("cas", "connect-timeout", True),
        ("cdn", "out-of-time", False),
        ("transfer", "connection-closed", True),
        ("cdn", "refused", True),
        ("cas", "server-error", False),
        ("transfer", "slow", False),
        ("download", "wrong-bytes", True),
        ("download", "timeout", False),
        ("resume", "client", False),
        ("unknown step", "unknown cause", False),
    ],
)
def test_measured_fault_fails_and_missing_answer_is_inconclusive(step: str, cause: str, conclusive: bool) -> None:
    before = Step("settings", "ok", "", "", "", 0.0)
    diagnosis = Diagnosis((before, Step(step, "failed", cause, "h", "seen", 0.1)), 1.0)
    assert (diagnosis.failed, diagnosis.conclusive) == (step, conclusive)


@pytest.mark.parametrize(("cdn", "recommended"), [("ok", True), ("failed", False)])
def test_download_without_xet_is_recommended_only_where_the_cdn_answers(cdn: str, recommended: bool) -> None:
    blocked = Step("cas", "failed", "timeout", "cas.example", "seen", 4.5)
    diagnosis = Diagnosis((blocked, Step("cdn", cdn, "timeout", "cdn.example", "seen", 0.1)), 5.0)
    assert any("HF_HUB_DISABLE_XET=1" in step for step in diagnosis.remedy) is recommended
    assert diagnosis.failed == "cas"
