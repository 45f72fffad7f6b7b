"""Comparing on the terminal: what else differs first, then each benchmark, and what would not have been noticed."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dgxcert.history.comparison import Change, Compared
from dgxcert.plan.options import WORKING
from dgxcert.record.run import Run
from dgxcert.report.words import printable

STYLE = {
    Change.SAME: "green",
    Change.FASTER: "cyan",
    Change.SLOWER: "bold red",
    Change.MISSING: "yellow",
    Change.INCOMPARABLE: "yellow",
}


def show(found: list[Compared], run: Run, reference: Run | None, kept: int, console: Console) -> None:
    """Print a comparison for a person."""
    against = reference.name if reference else f"the baseline of its machine and image ({kept} runs)"
    console.print(f"{run.name} against {against}", highlight=False, markup=False, soft_wrap=True)
    for what, (before, after) in differences(reference, run).items():
        console.print(Text(f"differs: {what}: {printable(before)}, now {printable(after)}", style="yellow"))
    console.print(_table(found))
    for each in found:
        if each.reason:
            why = _told(each, run, reference)
            console.print(Text(f"{each.requirement}: {each.change.value}: {printable(why)}", style="yellow"))
    counts = ", ".join(f"{sum(each.change is change for each in found)} {change.value}" for change in Change)
    console.print(f"{counts}. A change within `allowed` does not show.", highlight=False)


def differences(reference: Run | None, run: Run) -> dict[str, tuple[str, str]]:
    """What is not the same in two runs besides speed."""
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
    """Versions by package, of the stage that the work was done in."""
    work = [software for stage, software in run.software.items() if stage in WORKING]
    return {name: version or "none" for name, version in work[0].packages.items()} if work else {}


def _told(each: Compared, run: Run, reference: Run | None) -> str:
    """Why a benchmark is missing, with the words of the run that lacks it."""
    lacking = run if each.reason == "not in this run" else reference
    result = next((result for result in lacking.results if result.key == each.requirement), None) if lacking else None
    if each.change is not Change.MISSING or result is None:
        return each.reason
    return f"{each.reason}, where it was {result.outcome.value}: {result.reason}"


def _table(found: list[Compared]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("benchmark", no_wrap=True)
    for heading in ("", "takes", "allowed"):
        table.add_column(heading, no_wrap=True)
    for each in found:
        more = "" if each.more is None else f"{each.more:+.1%}"
        allowed = "" if each.tolerance is None else f"±{each.tolerance:.1%}"
        table.add_row(Text(each.requirement), Text(each.change.value, style=STYLE[each.change]), more, allowed)
    return table
