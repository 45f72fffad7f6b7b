"""Decode trial: candidates for a tuned Llama's decoding step, each compared with the plain step before it is timed.

It comes before the rounds that are measured, on their model and shapes. What is kept goes through all of `verify`
afterwards, like any other decoding.
"""

import time
from typing import TYPE_CHECKING, NamedTuple

from dgxcert.machine.device import Device
from dgxcert.workloads import numerics, refusals
from dgxcert.workloads.inference import decode_steps, step_trial
from dgxcert.workloads.inference.decode_steps import PLAIN, Steps
from dgxcert.workloads.inference.static_llama import StaticLlama
from dgxcert.workloads.inference.step_trial import Candidate, Choice, RefusedError

if TYPE_CHECKING:
    import torch

COMPARED_STEPS = 2
"""Decoding steps of a candidate that are compared: the second reads what the first has stored."""
TIMED_STEPS = 32
"""Decoding steps of one turn: a seventh of a second for a model of 8 B parameters."""
NOT_TIMED = "right; not timed on a CPU, where it saves nothing"

_KEPT: dict[tuple[object, ...], Steps] = {}
"""What was kept in this process, by GPU, shape of the model and batch: other lengths and the other precision of 16 bits
run the same kernels, and only confirm it. A trial of all takes a minute or two, most of which compiles."""
EARLIER = "an earlier case of this run found that it saves nothing"


class _Plain(NamedTuple):
    """What one plain step gives: logits (batch, vocabulary) and tokens (batch, 1)."""

    logits: "torch.Tensor"
    token: "torch.Tensor"


def choose(tuned: StaticLlama, device: Device, tokens: int) -> Choice:
    """The steps that are fastest for `tuned`, which uses them from now on; comes after its `start_decode`.

    `tokens` is how many it can decode. On a CPU all that can be used are compared together, and none is kept.
    """
    place = tuned.place()
    usable = decode_steps.usable(place)
    if not usable:
        return Choice(left=decode_steps.obstacles(place))
    trial = _Trial(tuned, device, tokens)
    if device.kind == "cpu":
        choice = trial.compare_all(frozenset(usable))
    else:
        choice = _timed(trial, (device.name, tuned.dims, tuned.down_proj_shape, place.batch, usable), usable)
    choice.left |= decode_steps.obstacles(place)
    tuned.use(choice.kept)
    tuned.forget_others()
    return choice


def _timed(trial: "_Trial", model: tuple[object, ...], usable: tuple[str, ...]) -> Choice:
    """The fastest steps, by a trial of all or from what an earlier case of this model kept."""
    known = _KEPT.get(model)
    if known is None:
        choice = step_trial.choose(usable, trial.measure)
        _KEPT[model] = choice.kept
        return choice
    if known:
        return step_trial.confirm(known, trial.measure)
    return Choice(left=dict.fromkeys(usable, EARLIER))


class _Trial:
    """Checks and times the steps of one tuned Llama."""

    def __init__(self, tuned: StaticLlama, device: Device, tokens: int) -> None:
        self._tuned, self._device = tuned, device
        self._timed_steps = min(TIMED_STEPS, tokens)
        self._expected = self._plain_steps(min(COMPARED_STEPS, tokens))

    def _plain_steps(self, count: int) -> list[_Plain]:
        self._tuned.use(PLAIN)
        steps = []
        for _ in range(count):
            self._tuned.decode_one_token()
            steps.append(_Plain(self._tuned.logits.clone(), self._tuned.token.clone()))
        return steps

    def compare_all(self, steps: Steps) -> Choice:
        """Compare steps without timing them."""
        try:
            self._compare(steps)
        except RefusedError as refused:
            return Choice(tried=[Candidate(steps, None, about=f"refused, {refused}")])
        return Choice(tried=[Candidate(steps, None, about=NOT_TIMED)])

    def measure(self, steps: Steps) -> tuple[float, float]:
        """Seconds of a decoding step with these steps, and of the plain one; raises RefusedError where they err."""
        self._compare(steps)
        return step_trial.in_turns(lambda: self._seconds(steps), lambda: self._seconds(PLAIN))

    def _seconds(self, steps: Steps) -> float:
        self._tuned.use(steps)
        self._device.wait()
        start = time.perf_counter()
        for _ in range(self._timed_steps):
            self._tuned.decode_one_token()
        self._device.wait()
        return (time.perf_counter() - start) / self._timed_steps

    def _compare(self, steps: Steps) -> None:
        """Raise RefusedError unless a few steps give what the plain ones gave, by the tolerances of `verify`."""
        try:
            self._tuned.use(steps)
            for expected in self._expected:
                self._tuned.decode_one_token()
                _require_same(self._tuned.logits, self._tuned.token, expected, self._tuned.precision)
                self._tuned.token.copy_(expected.token)  # both go on with the same one, if two were as good
        except refusals.kinds() as error:
            raise RefusedError(str(error).strip().partition("\n")[0]) from error


def _require_same(logits: "torch.Tensor", token: "torch.Tensor", expected: _Plain, precision: str) -> None:
    """Raise RefusedError unless logits are close to the plain ones, and the token is the first of the largest."""
    if not bool(logits.isfinite().all()):
        raise RefusedError("logits are not finite")
    if not bool((token == logits.argmax(-1, keepdim=True)).all()):
        raise RefusedError("a token is not that of the largest logit")
    exact = expected.logits.float()
    std = float(exact.std())
    difference = float((logits.float() - exact).square().mean(-1).sqrt().max()) / std
    if not difference <= (numerics.path_tolerance(precision).max or 0):
        raise RefusedError(f"logits differ by {difference:.2g} of their standard deviation")
    shortfall = float((exact.amax(-1) - exact.gather(-1, token)[:, 0]).max()) / std
    if not shortfall <= (numerics.choice_tolerance(precision).max or 0):
        raise RefusedError(f"a token falls short by {shortfall:.2g} standard deviations")
