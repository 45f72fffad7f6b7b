"""What `dgxcert history --json` prints: the runs of a results folder, and with MACHINE each benchmark over time."""

import statistics
from collections.abc import Sequence

from dgxcert.cli.json_output import figure
from dgxcert.cli.json_output.document import Document, Part
from dgxcert.cli.json_output.figure import Figure
from dgxcert.history import timeline
from dgxcert.history.listed_run import Listed
from dgxcert.history.run_index import Known
from dgxcert.judgement.verdict import Verdict


class Change(Part):
    """What differs from the run of the machine before it, besides speed."""

    what: str
    before: str
    after: str


class ListedRun(Part):
    """One run."""

    id: str
    folder: str
    """In the results folder."""
    started: str
    hostname: str
    machine: str
    """What its runs share: the UUIDs of its GPUs, or the host name."""
    gpus: tuple[str, ...]
    profile: str
    tier: str
    verdict: Verdict
    waived: int
    """Requirements that did not pass and are waived."""
    figures: tuple[Figure, ...]
    changed: tuple[Change, ...]


class Point(Part):
    """One run of a benchmark."""

    run: str
    """The id of the run."""
    rate: float


class Step(Part):
    """A speed that changed and did not return."""

    run: str
    """The name of the first run after it."""
    before: str
    """The name of the last run before it."""
    more: float
    """0.05: it is 5 % faster than before; negative where it is slower."""
    changed: tuple[Change, ...]


class Benchmark(Part):
    """One benchmark over the runs of a machine."""

    key: str
    unit: str
    points: tuple[Point, ...]
    """The last ones, oldest first."""
    relative: float | None
    """The last rate compared with the median of all before it, as a share; None for the first run."""
    steps: tuple[Step, ...]


class History(Document):
    """The runs of a results folder, oldest first."""

    results: str
    runs: tuple[ListedRun, ...]
    benchmarks: tuple[Benchmark, ...]
    """Of the named machine; empty without one."""
    unfinished: tuple[str, ...]
    """Run folders that can be resumed."""
    unreadable: dict[str, str]
    """What looks like a run and cannot be read, each with the reason."""


def of(known: Known, runs: Sequence[Listed], results: str, last: int, *, benchmarks: bool) -> History:
    """The document of some runs of a results folder, with `last` points of each benchmark if these are wanted."""
    names = timeline.requirements(runs) if benchmarks else []
    return History(
        results=results,
        runs=_listed(runs),
        benchmarks=tuple(_benchmark(name, runs, last) for name in names),
        unfinished=known.unfinished,
        unreadable=known.unreadable,
    )


def _listed(runs: Sequence[Listed]) -> tuple[ListedRun, ...]:
    before: dict[str, Listed] = {}
    listed = []
    for run in timeline.completed(runs):
        earlier = before.get(run.machine)
        shared = {name: getattr(run, name) for name in ListedRun.model_fields if name not in ("figures", "changed")}
        changed = _changes(timeline.changes(earlier, run)) if earlier else ()
        listed.append(ListedRun(**shared, figures=tuple(map(figure.of, run.figures)), changed=changed))
        before[run.machine] = run
    return tuple(listed)


def _changes(changes: dict[str, tuple[str, str]]) -> tuple[Change, ...]:
    return tuple(Change(what=what, before=before, after=after) for what, (before, after) in changes.items())


def _benchmark(name: str, runs: Sequence[Listed], last: int) -> Benchmark:
    points = timeline.series(runs, name)
    rates = [rate for _, rate in points]
    return Benchmark(
        key=name,
        unit=points[-1][0].units.get(name, ""),
        points=tuple(Point(run=run.id, rate=rate) for run, rate in points[-last:]),
        relative=rates[-1] / statistics.median(rates[:-1]) - 1 if len(rates) > 1 else None,
        steps=tuple(
            Step(run=step.run, before=step.before, more=step.more, changed=_changes(step.changed))
            for step in timeline.steps(runs, name)
        ),
    )
