"""What `dgxcert compare --json` prints: each benchmark of a run beside a reference."""

from dgxcert.cli.json_output.document import Document, Part
from dgxcert.history import comparison
from dgxcert.history.comparison import Change, Compared
from dgxcert.record.run import Run
from dgxcert.report import comparison_table


class Difference(Part):
    """What differs between the two runs besides speed."""

    what: str
    before: str
    after: str


class Benchmark(Part):
    """One benchmark."""

    key: str
    change: Change
    more: float | None
    """0.05: it takes 5 % longer than in the reference."""
    tolerance: float | None
    """The largest difference that still counts as the same."""
    reason: str
    """Why it could not be compared."""


class Comparison(Document):
    """A run compared with another, or with the baseline of its machine and image."""

    run: str
    """The id of the run."""
    name: str
    reference: str | None
    """The id of the other run; None for a baseline."""
    reference_name: str | None
    reference_runs: int
    """How many runs it was compared with."""
    differences: tuple[Difference, ...]
    benchmarks: tuple[Benchmark, ...]
    exit_code: int
    """0: nothing is slower; 1: something is; 2: something could not be compared."""


def of(compared: list[Compared], run: Run, reference: Run | None, runs: int) -> Comparison:
    """The document of a comparison."""
    differences = comparison_table.differences(reference, run)
    return Comparison(
        run=run.id,
        name=run.name,
        reference=reference.id if reference else None,
        reference_name=reference.name if reference else None,
        reference_runs=runs,
        differences=tuple(
            Difference(what=what, before=before, after=after) for what, (before, after) in differences.items()
        ),
        benchmarks=tuple(
            Benchmark(
                key=row.requirement,
                change=row.change,
                more=row.more,
                tolerance=row.tolerance,
                reason=comparison_table.reason(row, run, reference),
            )
            for row in compared
        ),
        exit_code=comparison.exit_code(compared),
    )
