"""History on the terminal: runs line by line, then each benchmark over them, then where it made a step and why."""

import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from dgxcert.history import timeline
from dgxcert.history.run_index import Known
from dgxcert.judgement.evidence import quantity
from dgxcert.record.history_line import Earlier
from dgxcert.report.words import printable

BARS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-=+*#@"
LEAST_OF_NAME = 6
"""So much of a GPU's UUID must be typed before it is taken for one."""


def is_of(run: Earlier, machine: str) -> bool:
    """Whether a run is of a machine that a person calls so; everything is, of one without a name."""
    by_gpu = len(machine) >= LEAST_OF_NAME and any(uuid.startswith(machine) for uuid in run.machine.split(","))
    return not machine or run.hostname == machine or by_gpu


def show(known: Known, runs: Sequence[Earlier], machine: str, last: int, console: Console) -> None:
    """Print it for a person; plain lines, since a table of thousands would have to be measured first."""
    width = max((len(run.hostname) for run in runs), default=0)
    before: dict[str, Earlier] = {}
    lines = []
    for run in runs:
        earlier = before.get(run.machine)
        changed = ", ".join(timeline.changes(earlier, run)) if earlier else ""
        waived = f", {run.waived} waived" if run.waived else ""
        note = f"  (changed: {changed})" if changed else ""
        lines.append(f"{run.started[:16].replace('T', ' ')}  {run.hostname:{width}}  {run.verdict.value}{waived}{note}")
        before[run.machine] = run
    _print("\n".join(lines), console)
    for folder, trouble in known.unreadable.items():
        _print(f"not readable: {folder}: {trouble}", console)
    for folder in known.unfinished:
        _print(f"not ended: {folder}; it goes on with --resume", console)
    if machine:
        _benchmarks(runs, last, console)
    _print(f"{_number(len(runs), 'run')} of {_number(len(before), 'machine')}", console)


def _benchmarks(runs: Sequence[Earlier], last: int, console: Console) -> None:
    names = timeline.requirements(runs)
    width = max((len(name) for name in names), default=0)
    if names:
        _print(f"{'':{width}}  {'over time':{last}}  {'last':>18}  beside the median before it", console)
    for name in names:
        points = timeline.series(runs, name)
        rates = [rate for _, rate in points]
        unit = points[-1][0].units.get(name, "")
        more = f"{rates[-1] / statistics.median(rates[:-1]) - 1:+.1%}" if len(rates) > 1 else "the first"
        line = _line(rates[-last:], plain=console.encoding.lower() not in {"utf-8", "utf8"})
        _print(f"{name:{width}}  {line:{last}}  {quantity(rates[-1], unit):>18}  {more}", console)
    for name in names:
        for step in timeline.steps(runs, name):
            console.print(Text(printable(step.words), style="bold red" if step.more < 0 else "green"), soft_wrap=True)


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _line(rates: list[float], *, plain: bool) -> str:
    """Rates as a line of bars between the lowest and the highest; flat where they differ by less than a percent."""
    bars = PLAIN if plain else BARS
    low, high = min(rates), max(rates)
    if high - low < 0.01 * high:
        return bars[3] * len(rates)
    return "".join(bars[min(len(bars) - 1, int((rate - low) / (high - low) * len(bars)))] for rate in rates)


def _print(text: str, console: Console) -> None:
    if text:
        console.print(printable(text), markup=False, highlight=False, soft_wrap=True)
