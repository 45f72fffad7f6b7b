"""Timeline: what earlier runs of a machine reached, where a speed changed for good, and what else changed. Pure."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dgxcert.history.comparison import ENOUGH, student
from dgxcert.machine.identity import Machine
from dgxcert.outcome import Outcome
from dgxcert.plan.options import WORKING
from dgxcert.record.history_line import Earlier
from dgxcert.record.run import Run

LEAST = 0.03
"""A smaller difference between runs is never a step."""
UNKNOWN = 0.06
"""The same while there are fewer than `ENOUGH` runs, too few to know how they scatter."""
MOST_EARLIER = 60
"""Earlier runs that a run keeps for its report; `dgxcert history` shows all."""
BELIEVED = (Outcome.PASSED, Outcome.FAILED)
"""Outcomes whose rates count: an inconclusive measurement is none."""


@dataclass(frozen=True)
class Step:
    """A speed that changed between two runs and did not return in the run after them, if there is one.

    >>> step = Step("DECODE-SPEED", "2026-01-05T10-00-00Z-spark-07", -0.104, {"driver": ("580", "590")})
    >>> step.description
    'DECODE-SPEED is 10.4% slower since 2026-01-05T10-00-00Z-spark-07; driver 580 → 590'
    """

    requirement: str
    run: str
    more: float
    """0.05: it is 5 % faster than before; negative where it is slower."""
    changed: dict[str, tuple[str, str]]
    """What else changed between the two runs, before and after, by name."""

    @property
    def description(self) -> str:
        """The step on one line, for every report."""
        step = f"{self.requirement} is {abs(self.more):.1%} {'faster' if self.more > 0 else 'slower'} since {self.run}"
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
        if result.outcome in BELIEVED
        for evidence in [item for item in result.evidence if item.rounds_s and float(item.value) > 0][:1]
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


def _state(run: Run) -> dict[str, str]:
    """What may cause a step."""
    machine = run.machine
    software = next((run.software[stage] for stage in WORKING if stage in run.software), None)
    packages = software.packages if software else {}
    return {
        "driver": machine.driver or "none",
        "firmware": machine.firmware or "not readable",
        "kernel": machine.kernel,
        "image": run.image.id.removeprefix("sha256:")[:12] if run.image else "none",
        "torch": packages.get("torch") or "none",
        "transformers": packages.get("transformers") or "none",
        "profile": run.profile_sha256[:12],
        "suite": run.suite.sha256[:12],
        "host name": machine.hostname,
    }


def series(runs: Iterable[Earlier], requirement: str) -> list[tuple[Earlier, float]]:
    """The runs that measured a requirement, oldest first, each with its rate."""
    ordered = sorted(runs, key=lambda run: (run.started, run.name))
    return [(run, run.rates[requirement]) for run in ordered if requirement in run.rates]


def requirements(runs: Iterable[Earlier]) -> list[str]:
    """Every requirement that was ever timed, by name."""
    return sorted({key for run in runs for key in run.rates})


def changes(before: Earlier, after: Earlier) -> dict[str, tuple[str, str]]:
    """What differs between two runs besides speed: before and after, by name."""
    names = {*before.state, *after.state}
    pairs = {name: (before.state.get(name, "unknown"), after.state.get(name, "unknown")) for name in sorted(names)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def steps(runs: Sequence[Earlier], requirement: str) -> list[Step]:
    """Where a speed left its level by more than the runs since the last step scatter, in two consecutive runs."""
    points = series(runs, requirement)
    jumps: list[Step] = []
    level: list[tuple[Earlier, float]] = []
    for index, (run, rate) in enumerate(points):
        rates = [value for _, value in level]
        more = _beyond(rates, rate)
        following = points[index + 1][1] if index + 1 < len(points) else rate
        if more and _beyond(rates, following) * more <= 0:
            continue  # a single outlier: it is no step, and would widen the scatter of the level
        if more:
            jumps.append(Step(requirement, run.name, more, changes(level[-1][0], run)))
            level = []
        level.append((run, rate))
    return jumps


def _beyond(level: list[float], rate: float) -> float:
    """How far a rate is above the median of a level, as a share; 0 within the expected scatter."""
    if not level:
        return 0.0
    more = rate / statistics.median(level) - 1
    return more if abs(more) > _allowed(level) else 0.0


def _allowed(level: list[float]) -> float:
    """How far from its level one more run may be, as a share: Student's 95 % prediction interval."""
    if len(level) < ENOUGH:
        return UNKNOWN
    scatter = statistics.stdev(level) / statistics.fmean(level)
    return max(LEAST, student(len(level) - 1) * scatter * math.sqrt(1 + 1 / len(level)))
