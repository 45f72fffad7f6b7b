"""Contradictions: a record that was edited, cut or joined is found by what it says about itself."""

from typing import Any

import pytest
from suites.example import finished, opened, planned, short_of, started

from dgxcert.judgement.evidence import Comparison, Evidence, Recorder
from dgxcert.judgement.limit import Bound
from dgxcert.outcome import Outcome
from dgxcert.profiles import profile as profiles
from dgxcert.record import contradictions
from dgxcert.record.journal import Event

SPARK = profiles.load("dgx-spark")
FREE = SPARK.limit("disk.free")


def recorded(value: Any = 900.0, limit: Any = FREE) -> Evidence:
    """What a check records that compares with a limit."""
    recorder = Recorder()
    recorder.record("free", value, unit=limit.unit, source="statvfs").within(limit)
    return recorder.kept[0]


def share() -> Evidence:
    """What a benchmark records whose limit is a share of its roofline."""
    limit = next(limit for limit in SPARK.limits.values() if limit.unit == "of roofline" and limit.min)
    bound = Bound(value=100.0, unit="token/s", source="273 GB/s")
    recorder = Recorder()
    assert recorder.record("rate", 97.0, unit="token/s", source="10 rounds", roofline=bound) >= limit
    return recorder.kept[0]


def found(*events: Event, **about: Any) -> list[str]:
    return contradictions.find([opened(planned("A"), planned("B"), **({"profile": SPARK} | about)), *events])


def passed(evidence: Evidence | None, outcome: Outcome = Outcome.PASSED) -> list[str]:
    return found(started("A"), finished("A", outcome, evidence=() if evidence is None else (evidence,)))


def changed(evidence: Evidence, **about: Any) -> Evidence:
    """The evidence with another comparison."""
    (made,) = evidence.held_against
    return evidence.model_copy(update={"held_against": [made.model_copy(update=about)]})


@pytest.mark.parametrize("evidence", [recorded(), share()])
def test_a_record_as_it_was_written_has_no_contradiction(evidence: Evidence) -> None:
    assert passed(evidence) == []


def test_what_failed_was_repeated_or_never_ended_has_no_contradiction() -> None:
    again = (started("A"), finished("A", Outcome.INCONCLUSIVE), started("A"), finished("A", evidence=(recorded(),)))
    assert found(*again, started("B")) == []
    assert passed(short_of(13.0), Outcome.FAILED) == []
    assert passed(None, Outcome.FAILED) == []
    assert found(finished("A", Outcome.INCONCLUSIVE)) == []


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (short_of(13.0), "A: passed with decode 9.8 >= 13.0 token/s"),
        (None, "A: passed and nothing was compared"),
        (recorded().model_copy(update={"held_against": []}), "A: passed and nothing was compared"),
        (changed(recorded(), holds=False), "A: free 900.0 >= 120.0 GiB is said not to hold"),
        (changed(short_of(13.0), holds=True), "A: decode 9.8 >= 13.0 token/s is said to hold"),
        (changed(recorded(1.0), holds=True), "is said to hold"),
        (changed(recorded(), measured=901.0), "A: free is 900.0 and was compared as 901.0"),
        (recorded().model_copy(update={"value": 90.0}), "A: free is 90.0 and was compared as 900.0"),
        (changed(recorded(), measured="900"), "is said to hold"),
        (changed(recorded(), value=0.001), "A: free 900.0 >= 0.001 GiB is not limit disk.free of profile dgx-spark"),
        (changed(recorded(), unit="MiB"), "is not limit disk.free"),
        (changed(recorded(), sign="<=", value=1e9), "is not limit disk.free"),
        (changed(share(), measured=0.99), "A: rate is 97.0 and was compared as 0.99"),
    ],
)
def test_a_pass_that_its_evidence_contradicts_is_named(evidence: Evidence | None, words: str) -> None:
    if evidence is not None and evidence.name == "free":
        words = words.replace("120.0", f"{FREE.min}").replace("GiB", FREE.unit)
    assert any(words in text for text in passed(evidence)), passed(evidence)


def test_the_number_of_gpus_is_that_of_the_profile() -> None:
    recorder = Recorder()
    count = recorder.record("GPUs", 1, unit="GPU", source="NVML")
    assert count.within(SPARK.gpu_count)
    (evidence,) = recorder.kept
    assert passed(evidence) == []
    weaker = evidence.model_copy(update={"value": 2, "held_against": [_two(evidence.held_against[0])]})
    assert "A: GPUs 2 == 2 GPU is not limit gpu.count of profile dgx-spark" in passed(weaker)


def _two(made: Comparison) -> Comparison:
    return made.model_copy(update={"value": 2, "measured": 2})


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((finished("A", evidence=(recorded(),)),), "A: passed and was never started"),
        ((finished("A", Outcome.FAILED),), "A: failed and was never started"),
        ((finished("A", Outcome.FAILED), started("A")), "A: failed and was never started"),
        ((started("C"), finished("C", evidence=(recorded(),))), "C: ended and is not in the plan"),
        (
            (started("A"), finished("A", Outcome.FAILED), started("A"), finished("A", evidence=(recorded(),))),
            "A: passed and failed",
        ),
        ((opened(planned("A")),), "it was opened more than once"),
    ],
)
def test_endings_that_contradict_each_other_are_named(events: tuple[Event, ...], words: str) -> None:
    assert words in found(*events)


def test_a_requirement_that_was_not_to_run_did_not_end() -> None:
    begun = opened(planned("A", not_run="deselected by --only"), planned("A"), planned("B", not_applicable="none here"))
    ending = [started("B"), finished("B", Outcome.FAILED)]
    assert contradictions.find([begun, *ending]) == [
        "A: is planned more than once",
        "B: ended and is not in the plan",
    ]


def test_a_profile_of_a_user_does_not_certify() -> None:
    own = SPARK.model_copy(update={"own": True})
    assert found(profile=own) == ["profile dgx-spark is a file of its user and certifies"]
