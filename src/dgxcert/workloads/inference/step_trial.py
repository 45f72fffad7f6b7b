"""Step trial: each decode step is checked and timed on the very shapes, and what is fastest together is kept.

First each step alone, then all of them, then the paying ones added to each other in the order of what they save. A
candidate is timed in turns with the plain step, so that a clock that drifts favours neither.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dgxcert.judgement.evidence import Recorder
from dgxcert.workloads.inference import decode_steps
from dgxcert.workloads.inference.decode_steps import PLAIN, Steps

LEAST_GAIN = 0.005
"""Share of the time that a step must save to be kept: medians of the same graph differ by half of it."""
TURNS = 3
BUDGET_S = 120.0
"""Seconds for all candidates of a case, most of which compiles: no candidate begins that would not end in time."""


class RefusedError(Exception):
    """A candidate cannot be used: what it computes differs, or it cannot be compiled or captured."""


@dataclass(frozen=True)
class Candidate:
    """What the trial of some steps together gave."""

    steps: Steps
    share: float | None
    """Time of a decoding step as a share of the plain one's, timed in turns; None where it was not timed."""
    ms: float | None = None
    about: str = ""
    """Why it was not timed; empty where it was."""

    def __str__(self) -> str:
        timed = f"{self.ms:.3f} ms, {self.share:.3f} of plain" if self.share is not None else self.about
        return f"{decode_steps.named(self.steps)}: {timed}"


@dataclass
class Choice:
    """The steps that were kept, with everything that was tried."""

    kept: Steps = PLAIN
    tried: list[Candidate] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    """Why each of the other steps was not tried, by name."""

    def record(self, evidence: Recorder) -> None:
        """Record which steps were kept, and the times of the trial."""
        parts = [*map(str, self.tried), *(f"{name}: {reason}" for name, reason in self.left.items())]
        source = "trial before the rounds: " + ("; ".join(parts) or "nothing to try")
        evidence.record("decode steps kept", decode_steps.named(self.kept), source=source)


Measure = Callable[[Steps], tuple[float, float]]
"""Checks and times steps: seconds of a decoding step with them and of the plain one. Raises RefusedError."""


def choose(
    usable: tuple[str, ...], measure: Measure, budget_s: float = BUDGET_S, clock: Callable[[], float] = time.monotonic
) -> Choice:
    """Try steps by `measure` and keep those that are fastest together."""
    trial = _Trial(measure, budget_s, clock)
    for name in usable:
        trial.take(frozenset({name}))
    if len(usable) > 1:
        trial.take(frozenset(usable))
    alone = [candidate for candidate in trial.choice.tried if len(candidate.steps) == 1]
    paying = sorted((candidate for candidate in alone if _pays(candidate)), key=lambda each: each.share or 1.0)
    together: Steps = PLAIN
    best = 1.0
    for candidate in paying:
        share = trial.take(together | candidate.steps)
        if share is not None and share <= best * (1 - LEAST_GAIN):
            together, best = together | candidate.steps, share
    timed = [candidate for candidate in trial.choice.tried if _pays(candidate)]
    if timed:
        trial.choice.kept = min(timed, key=lambda each: each.share or 1.0).steps
    return trial.choice


def confirm(steps: Steps, measure: Measure) -> Choice:
    """Keep steps that an earlier case of the same model kept, if they pay on these shapes too."""
    trial = _Trial(measure, BUDGET_S, time.monotonic)
    trial.take(steps)
    if _pays(trial.choice.tried[0]):
        trial.choice.kept = steps
    return trial.choice


def _pays(candidate: Candidate) -> bool:
    return candidate.share is not None and candidate.share <= 1 - LEAST_GAIN


class _Trial:
    """Takes candidates, each once, as long as there is time."""

    def __init__(self, measure: Measure, budget_s: float, clock: Callable[[], float]) -> None:
        self.choice = Choice()
        self._measure, self._clock, self._budget_s = measure, clock, budget_s
        self._start, self._longest_s = clock(), 0.0
        self._known: dict[Steps, float | None] = {PLAIN: 1.0}

    def take(self, steps: Steps) -> float | None:
        """The share of the plain time that these steps take; None where they were not timed."""
        if steps in self._known:
            return self._known[steps]
        candidate = self._timed(steps)
        self.choice.tried.append(candidate)
        self._known[steps] = candidate.share
        return candidate.share

    def _timed(self, steps: Steps) -> Candidate:
        begun = self._clock()
        if begun - self._start + self._longest_s > self._budget_s:
            return Candidate(steps, None, about="no time left to try it")
        try:
            seconds, plain_s = self._measure(steps)
        except RefusedError as refused:
            return Candidate(steps, None, about=f"refused, {refused}")
        finally:
            self._longest_s = max(self._longest_s, self._clock() - begun)
        return Candidate(steps, seconds / plain_s, 1e3 * seconds)


def in_turns(first: Callable[[], float], second: Callable[[], float]) -> tuple[float, float]:
    """Medians of the seconds that two functions return, called in turns."""
    pairs = [(first(), second()) for _ in range(TURNS)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
