"""Bars are grouped and ordered as people think, of bounds that are the machine's; the caption says what they show."""

from typing import Any

import pytest
from suites import kept_runs
from suites.certified import speed
from suites.example import finished, opened, planned

from dgxcert.judgement.limit import Bound
from dgxcert.outcome import Outcome
from dgxcert.profiles import profile as profiles
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report.plots.bars import MOST, Bar, Bars, bars

DECODE = "DECODE-SPEED[bf16-tuned-single]"


def ended(*endings: journal.Finished, profile: str = "h200") -> Run:
    named = profiles.load(profile).model_copy(update={"not_applicable": {}, "not_applicable_native": {}})
    return runs.assemble([opened(*(planned(each.key) for each in endings), profile=named), *endings], "run")


def timed(key: str = DECODE, value: float = 14.0, outcome: Outcome = Outcome.PASSED, **about: Any) -> journal.Finished:
    """A rate of a roofline of 20, required to be 10."""
    return finished(key, outcome, evidence=(speed("decode", value).model_copy(update=about),))


def drawn(run: Run) -> Bars:
    found = bars(run)
    assert found is not None
    return found


def the(run: Run) -> Bar:
    (bar,) = [bar for group in drawn(run).groups.values() for bar in group]
    return bar


def test_a_measured_h200_has_its_groups_in_order_and_each_case_by_what_is_asked_of_it() -> None:
    found = drawn(kept_runs.load("2026-11-27-h200/second"))
    assert list(found.groups) == ["Prefill", "LoRA training", "Hardware"]
    assert [bar.label for bar in found.groups["Hardware"]] == [
        *("matmul tf32", "matmul fp16", "matmul bf16", "matmul fp8"),
        *("memory copy", "memory read", "transfer to device", "transfer to host", "load from disk, mmap"),
    ]
    assert [bar.label for bar in found.groups["Prefill"]][-2:] == ["bf16 tuned long", "bf16 tuned full"]
    prefill = {bar.label: (bar.figure, bar.share) for bar in found.groups["Prefill"]}
    assert prefill["bf16 tuned single"] == ("41221 token/s", "60%")


def test_a_bar_is_a_share_of_the_roofline_and_its_mark_is_the_limit() -> None:
    bar = the(ended(timed()))
    assert (bar.fill, bar.mark, bar.share, bar.figure) == (70.0, 50.0, "70%", "14 token/s")


@pytest.mark.parametrize("profile", ["cpu", "generic-nvidia"])
def test_where_the_peaks_are_not_the_machines_it_is_a_share_of_the_ceiling(profile: str) -> None:
    ceiling = Bound(value=16.0, unit="token/s", source="measured")
    run = ended(timed(ceiling=ceiling), profile=profile)
    assert (the(run).fill, the(run).share, the(run).mark) == (87.5, "88%", 62.5)
    assert f"measured in this run allow; profile {profile} knows no peak of this machine" in drawn(run).caption
    assert drawn(run).share_of == "of ceiling"
    without = ended(timed(), profile=profile)
    assert (the(without).fill, the(without).mark) == (None, None)
    assert "Each bar" not in drawn(without).caption
    assert (drawn(run).title, drawn(without).title) == ("Benchmarks against this run's own ceilings", "Benchmarks")
    assert "line across" not in drawn(without).caption


def test_a_share_above_all_stretches_the_scale_and_is_named() -> None:
    run = ended(timed(value=24.0))
    assert (the(run).fill, the(run).mark, the(run).share) == (100.0, 41.7, "120%")
    assert "The highest share is 120%." in drawn(run).caption
    far = ended(timed(value=200.0))
    assert (the(far).fill, the(far).mark, the(far).share) == (100.0, 33.3, "1000%")
    assert "Bars longer than 150% are cut." in drawn(far).caption


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ([Outcome.PASSED, Outcome.PASSED], "All 2 passed."),
        ([Outcome.FAILED, Outcome.PASSED], "1 of 2 did not pass."),
        ([Outcome.FAILED, Outcome.INCONCLUSIVE], "2 of 2 did not pass."),
    ],
)
def test_the_caption_counts_what_did_not_pass(outcomes: list[Outcome], words: str) -> None:
    keys = (DECODE, "DECODE-SPEED[int4-tuned-single]")
    run = ended(*(timed(key, outcome=outcome) for key, outcome in zip(keys, outcomes, strict=True)))
    assert drawn(run).caption.endswith(words)


def test_of_too_many_those_that_did_not_pass_are_kept() -> None:
    keys = [f"DECODE-SPEED[bf16-tuned-{at}]" for at in range(MOST + 10)]
    run = ended(*(timed(key) for key in keys[:-1]), timed(keys[-1], outcome=Outcome.FAILED))
    found = drawn(run)
    shown = [bar for group in found.groups.values() for bar in group]
    assert (len(shown), found.omitted) == (MOST, 10)
    assert [bar.key for bar in shown if bar.outcome is Outcome.FAILED] == [keys[-1]]


def test_nothing_timed_is_no_chart() -> None:
    assert bars(ended(finished("GPU-PRESENT"))) is None
    assert bars(ended(timed(rounds_s=()))) is None


def test_a_limit_that_is_a_text_is_not_drawn() -> None:
    held = speed("decode", 14.0).held_against[0].model_copy(update={"value": "fast"})
    assert the(ended(timed(held_against=[held]))).mark is None
