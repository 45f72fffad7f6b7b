"""Hub reach: passes where every step passes, and fails or is inconclusive by the first step that does not."""

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub import diagnosis as hub
from dgxcert.probes.hub.diagnosis import Diagnosis, Step
from dgxcert.profiles import profile as profiles

CHECK = check_file.load("hub/test_reach")


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


def diagnosis(*states: tuple[str, str, str]) -> Diagnosis:
    """Of steps given by name, state and cause."""
    return Diagnosis(tuple(Step(name, state, cause, "h", "seen", 0.1) for name, state, cause in states), 1.0)


PASSED = diagnosis(("settings", "ok", ""), ("tls", "skipped", ""), ("download", "ok", ""))


def run(monkeypatch: pytest.MonkeyPatch, evidence: Recorder, result: Diagnosis) -> None:
    """Run the check with this diagnosis."""
    monkeypatch.setattr(hub, "diagnose", lambda needed: result)
    CHECK.test_models_can_be_downloaded_or_are_in_the_cache(profiles.load("cpu"), evidence)


def test_hub_whose_every_step_passes(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    run(monkeypatch, evidence, PASSED)
    assert evidence.compared
    assert not evidence.violated
    assert [kept.name for kept in evidence.kept][:2] == ["Hub, settings", "Hub, tls"]


def test_blocked_storage_fails_with_its_own_remedy(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    blocked = diagnosis(("http", "ok", ""), ("cas", "failed", "refused"), ("cdn", "ok", ""))
    with pytest.raises(AssertionError):
        run(monkeypatch, evidence, blocked)
    assert [(kept.name, kept.value) for kept, _ in evidence.violated] == [("first step that failed", "cas")]
    assert any("HF_HUB_DISABLE_XET=1" in step for step in evidence.advice)


def test_network_that_does_not_answer_is_inconclusive(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    with pytest.raises(Inconclusive, match="step dns") as raised:
        run(monkeypatch, evidence, diagnosis(("settings", "ok", ""), ("dns", "failed", "unknown-host")))
    assert any("HTTPS_PROXY" in step for step in raised.value.remedy)
    assert [kept.value for kept in evidence.kept] == ["ok", "failed"]


def test_profile_names_the_checkpoints_needed_in_the_cache(monkeypatch: pytest.MonkeyPatch, evidence: Recorder) -> None:
    requested: list[object] = []
    monkeypatch.setattr(hub, "diagnose", lambda needed: requested.append(needed) or PASSED)
    CHECK.test_models_can_be_downloaded_or_are_in_the_cache(profiles.load("cpu"), evidence)
    assert requested == [("gpt2", "distilbert-base-uncased")]
