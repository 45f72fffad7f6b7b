"""The history of a machine on the terminal: its runs, each benchmark over them, and each step in a speed."""

import statistics
from collections.abc import Sequence

from rich.console import Console

from dgxcert.console import on_one_line, print_line
from dgxcert.history import timeline
from dgxcert.history.run_index import Known
from dgxcert.judgement.evidence import format_quantity
from dgxcert.record.history_line import Earlier

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-=+*#@"
"""For a terminal that cannot print UTF-8."""
UUID_PREFIX_CHARS = 6
"""The least of a GPU's UUID that selects it; `GPU-` alone would select every machine."""


def is_of(run: Earlier, machine: str) -> bool:
    """Whether a run is of the machine with this host name or GPU UUID prefix; "" selects all."""
    by_gpu = len(machine) >= UUID_PREFIX_CHARS and any(uuid.startswith(machine) for uuid in run.machine.split(","))
    return not machine or run.hostname == machine or by_gpu


def show(known: Known, runs: Sequence[Earlier], machine: str, last: int, console: Console) -> None:
    """Print the runs of a machine, or of all, each with what changed since the one before, then its benchmarks."""
    width = max((len(run.hostname) for run in runs), default=0)
    before: dict[str, Earlier] = {}
    lines = []  # no rich table: it would measure thousands of rows before it prints the first
    for run in timeline.completed(runs):
        earlier = before.get(run.machine)
        changed = ", ".join(timeline.changes(earlier, run)) if earlier else ""
        waived = f", {run.waived} waived" if run.waived else ""
        note = f"  (changed: {changed})" if changed else ""
        moment, host = run.started[:16].replace("T", " "), f"{run.hostname:{width}}"
        lines.append(on_one_line(f"{moment}  {host}  {run.verdict.value}{waived}{note}"))
        before[run.machine] = run
    _print("\n".join(lines), console)
    for folder, problem in known.unreadable.items():
        _print(on_one_line(f"not readable: {folder}: {problem}"), console)
    for folder in known.unfinished:
        _print(on_one_line(f"not finished: {folder}; continue it with --resume"), console)
    if machine:
        _show_benchmarks(runs, last, console)
    _print(f"{_count(len(runs), 'run')} of {_count(len(before), 'machine')}", console)


def _show_benchmarks(runs: Sequence[Earlier], last: int, console: Console) -> None:
    names = timeline.requirements(runs)
    width = max((len(name) for name in names), default=0)
    if names:
        _print(f"{'':{width}}  {'over time':{last}}  {'last':>18}  relative to the median before it", console)
    for name in names:
        points = timeline.series(runs, name)
        rates = [rate for _, rate in points]
        unit = points[-1][0].units.get(name, "")
        more = f"{rates[-1] / statistics.median(rates[:-1]) - 1:+.1%}" if len(rates) > 1 else "first run"
        bars = _bars(rates[-last:], plain=console.encoding.lower() not in {"utf-8", "utf8"})
        _print(on_one_line(f"{name:{width}}  {bars:{last}}  {format_quantity(rates[-1], unit):>18}  {more}"), console)
    for name in names:
        for step in timeline.steps(runs, name):
            print_line(console, on_one_line(step.description), "bold red" if step.more < 0 else "green")


def _count(count: int, thing: str) -> str:
    """A number with its noun.

    >>> _count(1, "run"), _count(12, "run")
    ('1 run', '12 runs')
    """
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _bars(rates: list[float], *, plain: bool) -> str:
    """Rates as bars between the lowest and the highest; flat where they differ by less than 1 %.

    >>> _bars([14.2, 13.4, 12.8], plain=True)
    '@=_'
    """
    bars = PLAIN_BARS if plain else BARS
    low, high = min(rates), max(rates)
    if high - low < 0.01 * high:
        return bars[3] * len(rates)
    return "".join(bars[min(len(bars) - 1, int((rate - low) / (high - low) * len(bars)))] for rate in rates)


def _print(text: str, console: Console) -> None:
    if text:
        print_line(console, text)
