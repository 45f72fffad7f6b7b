"""The trial of decode steps keeps what is fastest together, refuses what errs, and ends in time."""

from collections.abc import Callable

import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.workloads.inference import step_trial
from dgxcert.workloads.inference.decode_steps import (
    ACTIVATION_ONCE,
    BLOCK_ARGMAX,
    DEPENDENT_LAUNCH,
    FUSED_NORM,
    PLAIN,
    Steps,
)
from dgxcert.workloads.inference.step_trial import RefusedError

USABLE = (DEPENDENT_LAUNCH, ACTIVATION_ONCE, FUSED_NORM)
PLAIN_S = 0.004


class Machine:
    """Seconds of a decoding step with some steps: each is worth its factor, unless a combination has its own."""

    def __init__(self, factors: dict[str, float], together: dict[Steps, float] | None = None) -> None:
        self._factors, self._together = factors, together or {}
        self.asked: list[Steps] = []
        self.now = 0.0

    def __call__(self, steps: Steps) -> tuple[float, float]:
        self.asked.append(steps)
        self.now += 10
        share = self._together.get(steps)
        if share is None:
            share = 1.0
            for name in steps:
                share *= self._factors[name]
        if share < 0:
            raise RefusedError("logits are not finite")
        return share * PLAIN_S, PLAIN_S

    def choose(self, budget_s: float = 1000) -> step_trial.Choice:
        return step_trial.choose(USABLE, self, budget_s, lambda: self.now)


def test_each_step_is_measured_alone_then_all_together_then_those_that_pay() -> None:
    machine = Machine({DEPENDENT_LAUNCH: 0.9, ACTIVATION_ONCE: 0.95, FUSED_NORM: 1.1})
    choice = machine.choose()
    assert choice.kept == {DEPENDENT_LAUNCH, ACTIVATION_ONCE}
    alone = [frozenset({name}) for name in USABLE]
    assert machine.asked == [*alone, frozenset(USABLE), frozenset({DEPENDENT_LAUNCH, ACTIVATION_ONCE})]


@pytest.mark.parametrize(
    ("factors", "together", "kept"),
    [
        ((1.0, 1.0, 1.0), {}, PLAIN),
        ((0.996, 0.997, 0.998), {frozenset(USABLE): 0.996}, PLAIN),
        ((0.99, 1.2, 1.2), {}, frozenset({DEPENDENT_LAUNCH})),
        ((1.1, 1.0, 1.1), {frozenset(USABLE): 0.8}, frozenset(USABLE)),
        ((0.9, 0.95, 1.1), {frozenset({DEPENDENT_LAUNCH, ACTIVATION_ONCE}): 1.0}, frozenset({DEPENDENT_LAUNCH})),
        ((0.9, -1, 0.95), {frozenset(USABLE): -1}, frozenset({DEPENDENT_LAUNCH, FUSED_NORM})),
    ],
    ids=[
        "nothing pays",
        "too little to tell from noise",
        "one pays",
        "only all together pay",
        "two that pay alone do not pay together",
        "what is refused is not kept",
    ],
)
def test_what_is_fastest_together_is_kept(
    factors: tuple[float, float, float], together: dict[Steps, float], kept: Steps
) -> None:
    assert Machine(dict(zip(USABLE, factors, strict=True)), together).choose().kept == kept


def test_no_candidate_begins_that_would_not_end_in_time() -> None:
    machine = Machine(dict.fromkeys(USABLE, 0.9))
    choice = machine.choose(budget_s=25)
    assert len(machine.asked) == 2
    assert choice.kept == {DEPENDENT_LAUNCH}
    assert "fused norm: no time left to try it" in list(map(str, choice.tried))


@pytest.mark.parametrize(("share", "kept"), [(0.9, frozenset(USABLE)), (0.999, PLAIN), (-1.0, PLAIN)])
def test_steps_of_an_earlier_case_are_confirmed_or_dropped(share: float, kept: Steps) -> None:
    machine = Machine({}, {frozenset(USABLE): share})
    assert step_trial.confirm(frozenset(USABLE), machine).kept == kept


def test_the_record_names_what_was_kept_and_everything_that_was_tried() -> None:
    choice = Machine({DEPENDENT_LAUNCH: 0.9, ACTIVATION_ONCE: -1, FUSED_NORM: 1.1}).choose()
    choice.left = {BLOCK_ARGMAX: "the vocabulary is no multiple of 64"}
    evidence = Recorder()
    choice.record(evidence)
    (item,) = evidence.kept
    assert (item.name, item.value) == ("decode steps kept", "dependent launch")
    assert item.source.startswith("trial before the rounds: dependent launch: 3.600 ms, 0.900 of plain; activation")
    assert "activation once: refused, logits are not finite" in item.source
    assert item.source.endswith("argmax by blocks: the vocabulary is no multiple of 64")


def seconds(*values: float) -> Callable[[], float]:
    left = list(values)
    return lambda: left.pop(0)


def test_two_functions_are_timed_in_turns() -> None:
    calls: list[str] = []
    first = seconds(3.0, 1.0, 2.0)
    assert step_trial.in_turns(lambda: calls.append("a") or first(), seconds(5.0, 9.0, 4.0)) == (2.0, 5.0)  # type: ignore[func-returns-value]
