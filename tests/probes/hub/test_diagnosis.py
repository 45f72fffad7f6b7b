"""The diagnosis of the Hub names the first step that failed, in time, and says what was measured and what not."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.judgement.evidence import Recorder
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub import causes, diagnosis, settings
from dgxcert.probes.hub.diagnosis import Diagnosis, Step

pytestmark = pytest.mark.usefixtures("plain_hub_environment")


def test_every_cause_has_a_meaning_and_steps_and_names_no_hole() -> None:
    for cause in causes.CAUSES:
        for step in ("dns", "tls", "cas", "cdn", "download", "resume"):
            found = Diagnosis((Step(step, "failed", cause, "host.example", "seen", 0.1),), 1.0)
            assert found.meaning
            assert found.remedy
            assert "{" not in found.meaning + " ".join(found.remedy).replace("%{http_code}", "").replace(
                "%{speed_download}", ""
            ).replace("${HF_TOKEN_PATH", "")


@pytest.mark.parametrize(
    ("step", "cause", "conclusive"),
    [
        ("settings", "certificate-file", True),
        ("dns", "no-name", False),
        ("tcp", "dropped", False),
        ("tcp", "refused", False),
        ("tcp", "proxy-refuses", True),
        ("tls", "tls-issuer", True),
        ("tls", "late", False),
        ("http", "captive", True),
        ("http", "rate", False),
        ("http", "broken", False),
        ("identity", "bad-token", True),
        ("metadata", "gated", True),
        ("cas", "late", True),
        ("cas", "dropped", True),
        ("cdn", "out-of-time", False),
        ("transfer", "cut", True),
        ("cdn", "refused", True),
        ("cas", "broken", False),
        ("transfer", "slow", False),
        ("download", "wrong-bytes", True),
        ("download", "late", False),
        ("resume", "client", False),
        ("never heard of", "never heard of", False),
    ],
)
def test_what_was_measured_wrong_fails_and_what_did_not_answer_is_inconclusive(
    step: str, cause: str, conclusive: bool
) -> None:
    found = Diagnosis((Step("settings", "ok", "", "", "", 0.0), Step(step, "failed", cause, "h", "seen", 0.1)), 1.0)
    assert (found.failed, found.conclusive) == (step, conclusive)


def test_the_way_without_xet_is_only_recommended_where_the_cdn_answers() -> None:
    shut = Step("cas", "failed", "late", "cas.example", "seen", 4.5)
    for cdn, told in (("ok", True), ("failed", False)):
        found = Diagnosis((shut, Step("cdn", cdn, "late", "cdn.example", "seen", 0.1)), 5.0)
        assert any("HF_HUB_DISABLE_XET=1" in step for step in found.remedy) is told
        assert found.failed == "cas"


def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Let this program be the process that takes the steps."""
    (tmp_path / "steps.py").write_text(code)
    follow = command.follow

    def start(args: list[str], **rest: object) -> bool:
        return follow([sys.executable, str(tmp_path / "steps.py")], **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "follow", start)


def said(name: str, state: str = "ok") -> str:
    step = {"name": name, "state": state, "cause": "", "host": "h", "found": "seen", "seconds": 0.1}
    return f"print('''{json.dumps({'begun': name, 'host': 'h'})}'''); print('''{json.dumps(step)}''', flush=True)\n"


def test_a_step_that_hangs_is_ended_from_outside_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hangs = f"{said('settings')}print('''{json.dumps({'begun': 'dns', 'host': 'name'})}''', flush=True)\n"
    program(monkeypatch, tmp_path, f"{hangs}import time; time.sleep(60)")
    monkeypatch.setattr(diagnosis, "STEP_S", 1.0)
    started = time.monotonic()
    found = diagnosis.diagnose()
    assert time.monotonic() - started < 10
    assert (found.failed, found.steps[-1].cause, found.steps[-1].host) == ("dns", "dns-silent", "name")
    assert not found.conclusive


def test_a_process_that_ends_in_a_step_is_named_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(monkeypatch, tmp_path, f"print('''{json.dumps({'begun': 'tls', 'host': 'h'})}''', flush=True)\n")
    assert [(step.name, step.cause) for step in diagnosis.diagnose().steps] == [("tls", "crashed")]
    program(monkeypatch, tmp_path, "")
    assert [(step.name, step.cause) for step in diagnosis.diagnose().steps] == [("settings", "crashed")]


def test_a_walk_that_ends_between_two_steps_is_not_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(monkeypatch, tmp_path, said("settings") + said("cas-address"))
    found = diagnosis.diagnose()
    assert (found.failed, found.steps[-1].cause, found.conclusive) == ("cdn", "crashed", False)


def test_the_time_of_the_whole_running_out_blames_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun = f"print('''{json.dumps({'begun': 'cas', 'host': 'h'})}''', flush=True)\n"
    program(monkeypatch, tmp_path, f"{said('settings')}{begun}import time; time.sleep(60)")
    monkeypatch.setattr(diagnosis, "WHOLE_S", 2.0)
    found = diagnosis.diagnose()
    assert (found.failed, found.steps[-1].cause, found.conclusive) == ("cas", "out-of-time", False)


@pytest.mark.parametrize(
    ("stdout", "returncode", "state", "cause"),
    [
        ('{"state": "ok", "cause": "", "found": "as the Hub says"}', 0, "ok", ""),
        ('{"state": "failed", "cause": "wrong-bytes", "found": "other"}', 0, "failed", "wrong-bytes"),
        ("Segmentation fault", -11, "failed", "crashed"),
        ("", None, "late", "late"),
    ],
)
def test_what_the_client_came_to_is_the_next_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stdout: str, returncode: int | None, state: str, cause: str
) -> None:
    program(monkeypatch, tmp_path, said("settings") + said("cdn"))
    monkeypatch.setenv("HF_ENDPOINT", "http://hub")
    done = command.Completed(("python",), returncode, stdout, "")
    monkeypatch.setattr(command, "run", lambda args, **_: done)
    found = diagnosis.diagnose()
    assert [step.name for step in found.steps][:3] == ["settings", "cdn", "download"]
    assert (found.steps[2].state, found.steps[2].cause) == (state, cause)
    assert (found.failed == "none") is (state == "ok")


def test_no_download_is_begun_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(monkeypatch, tmp_path, said("settings") + said("cdn"))
    monkeypatch.setattr(diagnosis, "TOO_LITTLE_S", 100.0)
    assert (diagnosis.diagnose().failed, diagnosis.diagnose().steps[-1].state) == ("download", "late")


def test_only_the_first_switch_that_is_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    assert settings.offline_by_choice() == "TRANSFORMERS_OFFLINE"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert settings.offline_by_choice() == ""


@pytest.mark.parametrize("value", ["1", "true", "ON", "yes"])
def test_a_hub_that_is_switched_off_is_not_asked_and_the_cache_must_do(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    found = diagnosis.diagnose(["gpt2"])
    assert (found.failed, found.conclusive) == ("cache", True)
    assert "gpt2 at 607a30d783df: config.json is not there" in found.says
    assert found.remedy[0].startswith("With the Hub switched on: hf download gpt2 ")


def test_a_hub_that_is_switched_off_and_not_needed_was_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    with pytest.raises(Inconclusive, match="TRANSFORMERS_OFFLINE is set, so the Hub was not asked"):
        diagnosis.diagnose()


def test_without_any_network_the_name_is_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    found = diagnosis.diagnose()
    assert (found.failed, found.conclusive) == ("dns", False)
    with pytest.raises(Inconclusive, match=r"hub\.invalid"):
        found.keep(Recorder())
    assert "HF_ENDPOINT" in os.environ
