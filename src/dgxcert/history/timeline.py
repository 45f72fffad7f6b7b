"""History: what earlier runs of a machine reached, where a speed made a step, and what had changed just then. Pure."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dgxcert.history.comparison import ENOUGH, STUDENT, STUDENT_BEYOND
from dgxcert.machine.identity import Machine
from dgxcert.outcome import Outcome
from dgxcert.plan.options import WORKING
from dgxcert.record.history_line import Earlier
from dgxcert.record.run import Run

LEAST = 0.03
"""A smaller difference between runs is never called a step."""
UNKNOWN = 0.06
"""The least that is called one while there are too few runs to know how they scatter."""
MOST_EARLIER = 60
"""Earlier runs that a run carries along for its report; `dgxcert history` shows all."""
BELIEVED = (Outcome.PASSED, Outcome.FAILED)


@dataclass(frozen=True)
class Step:
    """A speed that changed between two runs and did not come back, as far as there are runs after it."""

    requirement: str
    run: str
    more: float
    """0.05: it is 5 % faster than before; negative where it is slower."""
    changed: dict[str, tuple[str, str]]
    """What else changed between the two runs: before and after."""

    @property
    def words(self) -> str:
        """On one line, for every face."""
        of = f"{self.requirement} is {abs(self.more):.1%} {'faster' if self.more > 0 else 'slower'} since {self.run}"
        named = ", ".join(f"{what} {before} → {after}" for what, (before, after) in self.changed.items())
        return f"{of}; {named or 'nothing else that a run knows of changed'}"


def known_as(machine: Machine) -> str:
    """What ties runs of one machine together: its GPUs, which keep their UUIDs whatever is installed, or its name."""
    return ",".join(sorted(gpu.uuid for gpu in machine.gpus)) or machine.hostname


def of(run: Run) -> Earlier:
    """The line of a run in a history."""
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
    """What a step may come from."""
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
    """The runs that measured a requirement, oldest first, each with what it reached."""
    ordered = sorted(runs, key=lambda run: (run.started, run.name))
    return [(run, run.rates[requirement]) for run in ordered if requirement in run.rates]


def requirements(runs: Iterable[Earlier]) -> list[str]:
    """All that was ever timed, in order of names."""
    return sorted({key for run in runs for key in run.rates})


def changes(before: Earlier, after: Earlier) -> dict[str, tuple[str, str]]:
    """What is not the same in two runs, besides speed."""
    names = {*before.state, *after.state}
    pairs = {name: (before.state.get(name, "unknown"), after.state.get(name, "unknown")) for name in sorted(names)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def steps(runs: Sequence[Earlier], requirement: str) -> list[Step]:
    """Where a speed left what it was before: by more than the runs since the last step scatter, and not only once."""
    points = series(runs, requirement)
    found: list[Step] = []
    level: list[tuple[Earlier, float]] = []
    for at, (run, rate) in enumerate(points):
        more = _beyond([value for _, value in level], rate)
        following = points[at + 1][1] if at + 1 < len(points) else rate
        if more and _beyond([value for _, value in level], following) * more <= 0:
            continue  # a single stray run: it neither is a step nor says how runs scatter
        if more:
            found.append(Step(requirement, run.name, more, changes(level[-1][0], run)))
            level = []
        level.append((run, rate))
    return found


def _beyond(level: list[float], rate: float) -> float:
    """By how much a rate lies above the median of a level, as a share; 0 where it is within what is to be expected."""
    if not level:
        return 0.0
    more = rate / statistics.median(level) - 1
    return more if abs(more) > _allowed(level) else 0.0


def _allowed(level: list[float]) -> float:
    if len(level) < ENOUGH:
        return UNKNOWN
    free = len(level) - 1
    factor = STUDENT[free - 1] if free <= len(STUDENT) else STUDENT_BEYOND
    scatter = statistics.stdev(level) / statistics.fmean(level)
    return max(LEAST, factor * scatter * math.sqrt(1 + 1 / len(level)))
