"""A comparison on the terminal: what else differs between the runs, then each benchmark with its tolerance."""

from rich.console import Console

from dgxcert.console import on_one_line, print_line
from dgxcert.history.comparison import Change, Compared
from dgxcert.plan.options import WORKING
from dgxcert.record.run import Run
from dgxcert.redaction import models
from dgxcert.report import layout

STYLE = {
    Change.SAME: "green",
    Change.FASTER: "cyan",
    Change.SLOWER: "bold red",
    Change.MISSING: "yellow",
    Change.INCOMPARABLE: "yellow",
}


def show(compared: list[Compared], run: Run, reference: Run | None, runs: int, console: Console) -> None:
    """Print the comparison of a run with a reference, or with a baseline of so many runs where that is None."""
    run, reference = models.scrubbed(run), reference and models.scrubbed(reference)
    base = reference.name if reference else f"the baseline of its machine and image ({runs} runs)"
    print_line(console, on_one_line(f"{run.name} compared with {base}"))
    for what, (before, after) in differences(reference, run).items():
        print_line(console, on_one_line(f"differs: {what}: {before}, now {after}"), "yellow")
    _show_table(compared, console)
    for row in compared:
        if row.reason:
            why = reason(row, run, reference)
            print_line(console, on_one_line(f"{row.requirement}: {row.change.value}: {why}"), "yellow")
    counts = ", ".join(f"{sum(row.change is change for row in compared)} {change.value}" for change in Change)
    print_line(console, f"{counts}. Changes within `allowed` are not detected.")


def differences(reference: Run | None, run: Run) -> dict[str, tuple[str, str]]:
    """What differs between two runs besides speed: before and after, by name."""
    if reference is None:
        return {}
    pairs = {name: (str(value), str(run.machine.identity[name])) for name, value in reference.machine.identity.items()}
    pairs["image"] = _image(reference), _image(run)
    pairs["profile"] = reference.profile_sha256[:12], run.profile_sha256[:12]
    pairs["suite"] = reference.suite.sha256[:12], run.suite.sha256[:12]
    for package in sorted({*_packages(reference), *_packages(run)}):
        pairs[package] = _packages(reference).get(package, "none"), _packages(run).get(package, "none")
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _image(run: Run) -> str:
    return run.image.id if run.image else "none"


def _packages(run: Run) -> dict[str, str]:
    """Versions by package, in the stage that the work was done in."""
    work = [software for stage, software in run.software.items() if stage in WORKING]
    return {name: version or "none" for name, version in work[0].packages.items()} if work else {}


def reason(row: Compared, run: Run, reference: Run | None) -> str:
    """Why a benchmark could not be compared, with the outcome and reason in the run that lacks it."""
    lacking = run if row.reason == "not in this run" else reference
    result = next((result for result in lacking.results if result.key == row.requirement), None) if lacking else None
    if row.change is not Change.MISSING or result is None:
        return row.reason
    return f"{row.reason}, where it was {result.outcome.value}: {result.reason}"


def _show_table(compared: list[Compared], console: Console) -> None:
    rows = [["benchmark", "", "takes", "allowed"]]
    for row in compared:
        more = "" if row.more is None else f"{row.more:+.1%}"
        allowed = "" if row.tolerance is None else f"±{row.tolerance:.1%}"
        rows.append([row.requirement, row.change.value, more, allowed])
    heading, *lines = layout.columns(rows)
    print_line(console, heading, "dim")
    for row, line in zip(compared, lines, strict=True):
        print_line(console, line, STYLE[row.change])
