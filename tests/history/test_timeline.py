"""A step in speed is reported with the changes of that run; a single outlier is no step."""

import math
import random
import statistics

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


STEADY = (14.0, 14.1, 13.95, 14.05, 14.0)
"""Five runs that scatter by 0.4 %: as many as a step needs before it."""


def test_a_step_is_reported_since_the_run_before_it_with_what_changed() -> None:
    earlier = runs(*STEADY, 12.6, 12.5, 12.6, changed_at=5)
    (step,) = timeline.steps(earlier, DECODE)
    assert (step.run, step.before) == (earlier[5].name, earlier[4].name)
    assert step.more == pytest.approx(-0.1, abs=0.01)
    assert step.changed == {"driver": ("580", "590")}
    assert step.description == (f"{DECODE} is 10.0% slower since 2026-01-05T10-00-00Z-spark-07; driver 580 → 590")


def test_a_step_without_a_known_change_is_reported_as_such() -> None:
    (step,) = timeline.steps(runs(*STEADY, 12.6, 12.5), DECODE)
    assert "nothing else that a run records changed" in step.description


@pytest.mark.parametrize("earlier", range(5))
def test_fewer_than_five_earlier_runs_make_no_step(earlier: int) -> None:
    assert timeline.steps(runs(*STEADY[:earlier], 1.0), DECODE) == []
    assert timeline.steps(runs(*STEADY[:earlier], 1.0, 1.0), DECODE) == []


def test_two_runs_make_no_step_however_far_apart_they_are() -> None:
    assert timeline.steps(runs(14.0, 1.1), DECODE) == []


def test_a_step_in_the_latest_run_counts_from_the_sixth_on() -> None:
    earlier = runs(*STEADY, 12.0)
    (step,) = timeline.steps(earlier, DECODE)
    assert (step.run, step.before) == (earlier[5].name, earlier[4].name)


def test_a_step_in_the_middle_is_since_the_run_before_it() -> None:
    earlier = runs(*STEADY, *STEADY, *(rate * 0.9 for rate in (*STEADY, *STEADY)))
    (step,) = timeline.steps(earlier, DECODE)
    assert step.before == earlier[9].name


def test_a_single_outlier_is_no_step() -> None:
    assert timeline.steps(runs(*STEADY, 12.0, 14.02, 14.0), DECODE) == []


def test_slower_and_back_are_two_steps() -> None:
    earlier = runs(*STEADY, 12.0, 12.1, 14.02, 14.0)
    steps = timeline.steps(earlier, DECODE)
    assert [step.more > 0 for step in steps] == [False, True]
    assert [step.before for step in steps] == [earlier[4].name, earlier[6].name]


def test_machines_that_scatter_make_no_steps() -> None:
    chance = random.Random(3)
    for scatter in (0.01, 0.02, 0.1):
        alarms = sum(
            len(timeline.steps(runs(*(14.0 * abs(chance.gauss(1, scatter)) for _ in range(20))), DECODE))
            for _ in range(100)
        )
        assert alarms <= 3, "of 2000 runs: by chance the latest of a history is beyond 1 time in 500"


def test_a_slow_drift_is_no_step() -> None:
    assert timeline.steps(runs(*(14.0 * 0.99**at for at in range(20))), DECODE) == []


def test_a_run_that_recorded_no_software_changed_none() -> None:
    before, without, after = runs(14.0, 14.0, 14.0)
    before = before.model_copy(update={"state": {"torch": "2.9", "driver": "580"}})
    without = without.model_copy(update={"state": {"driver": "580"}})
    old = without.model_copy(update={"state": {"torch": "none", "driver": "580"}})  # as 0.1.0 wrote it
    after = after.model_copy(update={"state": {"torch": "2.10", "driver": "580"}})
    for unread in (without, old):
        assert timeline.changes(before, unread) == timeline.changes(unread, after) == {}
        first, second, third = timeline.completed([before, unread, after])
        assert timeline.changes(first, second) == {}
        assert timeline.changes(second, third) == {"torch": ("2.9", "2.10")}


def test_a_run_without_software_in_its_record_has_none_in_its_state() -> None:
    assert not {"torch", "transformers"} & set(timeline.of(run()).state)


def test_a_rate_whose_result_was_wrong_is_in_no_history() -> None:
    wrong = speed("decode", 14.0)
    wrong = wrong.model_copy(
        update={
            "held_against": [
                wrong.held_against[0].model_copy(update={"source": "the requirement itself", "holds": False})
            ]
        }
    )
    assert DECODE not in timeline.of(run(finished(DECODE, Outcome.FAILED, evidence=(wrong,)))).rates


def test_an_inconclusive_rate_is_in_no_history() -> None:
    assert DECODE in timeline.of(run()).rates
    unseen = run(finished(DECODE, Outcome.INCONCLUSIVE, reason="too noisy", evidence=run().results[2].evidence))
    assert DECODE not in timeline.of(unseen).rates


def test_a_speed_of_zero_is_in_no_history() -> None:
    stuck = run(finished(KEYS[2], evidence=(speed(KEYS[2], 14.0).model_copy(update={"value": 0.0}),)))
    assert KEYS[2] not in timeline.of(stuck).rates


def test_a_level_knows_what_its_rates_give_all_at_once() -> None:
    dice = random.Random(3)
    rates = [dice.uniform(10, 12) for _ in range(40)]
    level = timeline.Level()
    for at, rate in enumerate(rates):
        level.add(str(at), rate)
    scatter = statistics.stdev(rates) / statistics.fmean(rates)
    allowed = timeline.STUDENT_BEYOND * scatter * math.sqrt(1 + 1 / len(rates))
    assert level.median == statistics.median(rates)
    assert level.beyond(level.median * (1 + allowed * 0.999)) == 0.0
    assert level.beyond(level.median * (1 + allowed * 1.001)) == pytest.approx(allowed, rel=0.01)
