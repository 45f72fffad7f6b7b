"""A step in speed is reported with the changes of that run; a single outlier is no step."""

import random

import pytest
from suites.certified import KEYS, past, run, speed
from suites.example import finished

from dgxcert.history import timeline
from dgxcert.outcome import Outcome
from dgxcert.record.history_line import Earlier

DECODE = KEYS[2]


def runs(*rates: float, changed_at: int | None = None) -> list[Earlier]:
    made = past(len(rates))
    return [
        each.model_copy(
            update={
                "rates": {DECODE: rate},
                "state": each.state | {"driver": "590" if changed_at is not None and at >= changed_at else "580"},
            }
        )
        for at, (each, rate) in enumerate(zip(made, rates, strict=True))
    ]


def test_a_step_is_reported_with_the_changes_of_its_run() -> None:
    earlier = runs(14.0, 14.1, 13.95, 14.05, 12.6, 12.5, 12.6, changed_at=4)
    (step,) = timeline.steps(earlier, DECODE)
    assert step.run == earlier[4].name
    assert step.more == pytest.approx(-0.1, abs=0.01)
    assert step.changed == {"driver": ("580", "590")}
    assert step.description.startswith(f"{DECODE} is 10.")
    assert step.description.endswith("slower since 2026-01-05T10-00-00Z-spark-07; driver 580 → 590")


def test_a_step_without_a_known_change_is_reported_as_such() -> None:
    (step,) = timeline.steps(runs(14.0, 14.1, 13.95, 12.6, 12.5), DECODE)
    assert "nothing else that a run records changed" in step.description


def test_a_step_in_the_latest_run_counts() -> None:
    assert len(timeline.steps(runs(14.0, 14.1, 13.95, 12.0), DECODE)) == 1


def test_a_single_outlier_is_no_step() -> None:
    assert timeline.steps(runs(14.0, 14.1, 13.95, 12.0, 14.02, 14.0), DECODE) == []


def test_slower_and_back_are_two_steps() -> None:
    steps = timeline.steps(runs(14.0, 14.1, 13.95, 12.0, 12.1, 14.02, 14.0), DECODE)
    assert [step.more > 0 for step in steps] == [False, True]


def test_machines_that_scatter_make_no_steps() -> None:
    chance = random.Random(3)
    alarms = sum(
        len(timeline.steps(runs(*(14.0 * chance.gauss(1, 0.02) for _ in range(20))), DECODE)) for _ in range(200)
    )
    assert alarms < 60, "3 in 200 runs of each, since both of two must lie beyond"


def test_an_inconclusive_rate_is_in_no_history() -> None:
    assert DECODE in timeline.of(run()).rates
    unseen = run(finished(DECODE, Outcome.INCONCLUSIVE, reason="too noisy", evidence=run().results[2].evidence))
    assert DECODE not in timeline.of(unseen).rates


def test_a_speed_of_zero_is_in_no_history() -> None:
    stuck = run(finished(KEYS[2], evidence=(speed(KEYS[2], 14.0).model_copy(update={"value": 0.0}),)))
    assert KEYS[2] not in timeline.of(stuck).rates
