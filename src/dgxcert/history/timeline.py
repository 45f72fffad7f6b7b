"""Timeline: what earlier runs of a machine reached, where a speed changed for good, and what else changed. Pure."""

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dgxcert.machine.identity import Machine
from dgxcert.plan.options import WORKING
from dgxcert.record.history_line import Earlier
from dgxcert.record.run import Run
from dgxcert.record.timings import unusable

LEAST = 0.03
"""A smaller difference between runs is never a step."""
LEAST_RUNS = 5
"""Runs that a level is known from: fewer do not show how they scatter, and no step away from them is named."""
STUDENT = {4: 7.173, 5: 5.893, 6: 5.208, 7: 4.785, 8: 4.501, 9: 4.297, 10: 4.144}
"""Student's t for 99.9 % on one side by degrees of freedom (NIST/SEMATECH e-Handbook, 1.3.6.7.2): a history asks of
dozens of benchmarks in dozens of runs whether there is a step, and 97.5 % would name one in every report by chance."""
STUDENT_BEYOND = 4.144
"""The last of them, for more: a little too wide, never too narrow."""
Line = TypeVar("Line", bound=Earlier)
"""A line of a history, or one with more in it."""
UNRECORDED = {"none", "not readable", "unknown"}
"""What a state holds that a run did not record; lines of dgxcert 0.1.0 do."""
MARKED = ("driver", "firmware", "image", "kernel", "torch", "suite", "profile")
"""What is marked in a plot over time where it changed between two runs."""
MOST_EARLIER = 60
"""Earlier runs that a run keeps for its report; `dgxcert history` shows all."""


@dataclass(frozen=True)
class Step:
    """A speed that changed between two runs and did not return in the run after them, if there is one.

    >>> step = Step("DECODE-SPEED", "2026-01-06T…", "2026-01-05T10-00-00Z-spark-07", -0.104, {"driver": ("580", "590")})
    >>> step.description
    'DECODE-SPEED is 10.4% slower since 2026-01-05T10-00-00Z-spark-07; driver 580 → 590'
    """

    requirement: str
    run: str
    """The first run after the step."""
    before: str
    """The last run before it, since which the speed is another."""
    more: float
    """0.05: it is 5 % faster than before; negative where it is slower."""
    changed: dict[str, tuple[str, str]]
    """What else changed between the two runs, before and after, by name."""

    @property
    def description(self) -> str:
        """The step on one line, for every report."""
        how = "faster" if self.more > 0 else "slower"
        step = f"{self.requirement} is {abs(self.more):.1%} {how} since {self.before}"
        changes = ", ".join(f"{name} {before} → {after}" for name, (before, after) in self.changed.items())
        return f"{step}; {changes or 'nothing else that a run records changed'}"


def known_as(machine: Machine) -> str:
    """The identity that runs of one machine share: its GPUs' UUIDs, which no installation changes, or its host name."""
    return ",".join(sorted(gpu.uuid for gpu in machine.gpus)) or machine.hostname


def of(run: Run) -> Earlier:
    """The line of a run in its machine's history."""
    timed = [
        (result.key, evidence)
        for result in run.results
        if not unusable(result)
        for evidence in [item for item in result.evidence if item.rounds_s and _is_rate(item.value)][:1]
    ]
    return Earlier(
        name=run.name,
        started=run.started,
        machine=known_as(run.machine),
        hostname=run.machine.hostname,
        verdict=run.judgement.verdict,
        waived=len(run.waived),
        state=_state(run),
        rates={key: float(f"{float(evidence.value):.6g}") for key, evidence in timed},
        units={key: evidence.unit for key, evidence in timed},
    )


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _state(run: Run) -> dict[str, str]:
    """What may cause a step, as far as the run recorded it: a run that ended before its image was built has none."""
    machine = run.machine
    software = next((run.software[stage] for stage in WORKING if stage in run.software), None)
    state = {
        "driver": machine.driver,
        "firmware": machine.firmware,
        "kernel": machine.kernel,
        "runtime": run.options.runtime.value,
        "image": run.image.id.removeprefix("sha256:")[:12] if run.image else None,
        "profile": run.profile_sha256[:12],
        "suite": run.suite.sha256[:12],
        "host name": machine.hostname,
    }
    if software is not None:
        state |= {name: software.packages.get(name) or "not installed" for name in ("torch", "transformers")}
    return {name: value for name, value in state.items() if value}


def series(runs: Iterable[Line], requirement: str) -> list[tuple[Line, float]]:
    """The runs that measured a requirement, oldest first, each with its rate."""
    ordered = sorted(runs, key=lambda run: (run.started, run.name))
    return [(run, run.rates[requirement]) for run in ordered if requirement in run.rates]


def requirements(runs: Iterable[Earlier]) -> list[str]:
    """Every requirement that was ever timed, by name."""
    return sorted({key for run in runs for key in run.rates})


def completed(runs: Iterable[Line]) -> list[Line]:
    """The runs, each with what it did not record taken from the last run of its machine that did.

    So a run that ended before its software was read hides no change between the runs before and after it.
    """
    known: dict[str, dict[str, str]] = {}
    result = []
    for run in runs:
        state = known[run.machine] = {**known.get(run.machine, {}), **_recorded(run)}
        result.append(run.model_copy(update={"state": state}))
    return result


def changes(before: Earlier, after: Earlier) -> dict[str, tuple[str, str]]:
    """What both runs recorded and differs, besides speed: before and after, by name."""
    old, new = _recorded(before), _recorded(after)
    both = [name for name in sorted(old) if name in new]
    return {name: (old[name], new[name]) for name in both if old[name] != new[name]}


def _recorded(run: Earlier) -> dict[str, str]:
    return {name: value for name, value in run.state.items() if value not in UNRECORDED}


def steps(runs: Sequence[Earlier], requirement: str) -> list[Step]:
    """Where a speed left the level of at least `LEAST_RUNS` runs, in two consecutive runs or in the latest one.

    A speed that slowly drifts has no run before which it was another, and makes no step.
    """
    points = series(runs, requirement)
    jumps: list[tuple[str, Earlier, float]] = []
    level, previous = Level(), Level()
    for index, (run, rate) in enumerate(points):
        following = points[index + 1][1] if index + 1 < len(points) else rate
        more = level.beyond(rate)
        if more and level.beyond(following) * more <= 0:
            continue  # a single outlier: it is no step, and would widen the scatter of the level
        returned = not any(previous.beyond(each) for each in (rate, following))
        back = len(level) < LEAST_RUNS <= len(previous) and returned
        if back:  # too few runs to know the new level by, but the one before it is known
            more = rate / level.median - 1
        if more:
            jumps.append((level.last, run, more))
            level, previous = (previous, Level()) if back else (Level(), level)
        level.add(run.name, rate)
    return _described(requirement, runs, jumps)


def all_steps(runs: Sequence[Earlier]) -> list[Step]:
    """The steps of every requirement, the latest first."""
    order = {run.name: at for at, run in enumerate(runs)}
    found = [step for name in requirements(runs) for step in steps(runs, name)]
    return sorted(found, key=lambda step: (-order[step.run], step.requirement))


def _described(requirement: str, runs: Sequence[Earlier], jumps: list[tuple[str, Earlier, float]]) -> list[Step]:
    """Each step with what else changed at it."""
    if not jumps:
        return []
    known = {each.name: each for each in completed(sorted(runs, key=lambda each: (each.started, each.name)))}
    return [
        Step(requirement, run.name, before, more, changes(known[before], known[run.name]))
        for before, run, more in jumps
    ]


class Level:
    """Rates at which a benchmark stayed, in order; each of thousands is added without looking at all others again.

    >>> level = Level()
    >>> for name, rate in zip("abcde", (14.0, 14.1, 13.9, 14.0, 14.0)):
    ...     level.add(name, rate)
    >>> level.median, level.last, round(level.beyond(10.0), 3), level.beyond(14.1)
    (14.0, 'e', -0.286, 0.0)
    """

    def __init__(self) -> None:
        self._ordered: list[float] = []
        self._mean = self._squares = 0.0
        self.last = ""
        """The name of the last run."""

    def __len__(self) -> int:
        return len(self._ordered)

    def add(self, name: str, rate: float) -> None:
        """Add the next run."""
        self.last = name
        bisect.insort(self._ordered, rate)
        before = rate - self._mean
        self._mean += before / len(self._ordered)
        self._squares += before * (rate - self._mean)  # Welford 1962: the sum of squares, without a second pass

    @property
    def median(self) -> float:
        """The median of its rates."""
        half = len(self._ordered) // 2
        return self._ordered[half] if len(self._ordered) % 2 else (self._ordered[half - 1] + self._ordered[half]) / 2

    def beyond(self, rate: float) -> float:
        """How far a rate is above the median, as a share; 0 within the scatter, or if that is not known."""
        if len(self) < LEAST_RUNS:
            return 0.0
        more = rate / self.median - 1
        return more if abs(more) > self._allowed else 0.0

    @property
    def _allowed(self) -> float:
        """How far from it one more run may be, as a share; by chance 1 in 500 is farther."""
        degrees = len(self) - 1
        scatter = math.sqrt(self._squares / degrees) / self._mean
        return max(LEAST, STUDENT.get(degrees, STUDENT_BEYOND) * scatter * math.sqrt(1 + 1 / len(self)))
