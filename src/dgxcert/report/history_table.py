"""The history of a machine on the terminal: its runs, each benchmark over them, and each step in a speed."""

import statistics
from collections.abc import Sequence

from rich.console import Console

from dgxcert.console import counted, on_one_line, print_line
from dgxcert.history import listed_run, timeline
from dgxcert.history.listed_run import Listed
from dgxcert.history.run_index import Known
from dgxcert.judgement.evidence import format_quantity
from dgxcert.record.history_line import Earlier
from dgxcert.report import headline_figure, layout
from dgxcert.report.terminal.lines import Line, fitted

BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-=+*#@"
"""For a terminal that cannot print UTF-8."""
COLUMNS = ("started", "host", "GPU", "profile", "tier", "verdict")
YEAR = len("2026-")
SHARED = {"host", "GPU", "profile", "tier"}
"""Columns that a narrow terminal is spared where all runs say the same."""
FIGURES = {"matmul": ("matmul",), "decode": ("decode-16bit", "decode-32bit"), "LoRA": ("lora-tokens",)}
"""The headline figures of the table, each by the names of `record.figures`, the one that counts first."""
LEGEND = "matmul TFLOP/s, else token/s; bf16 and the large model if not said; ! failed"
USUAL = {"bf16", "large"}
"""Words of a figure's label that go without saying."""
OVER_TIME = "over time"
BESIDE = 33
"""Columns of a line about a benchmark beside its name and its bars: the last rate, and how it compares."""
UUID_PREFIX_CHARS = 6
"""The least of a GPU's UUID that selects it; `GPU-` alone would select every machine."""


def is_of(run: Earlier, machine: str) -> bool:
    """Whether a run is of the machine with this host name or GPU UUID prefix; "" selects all."""
    by_gpu = len(machine) >= UUID_PREFIX_CHARS and any(uuid.startswith(machine) for uuid in run.machine.split(","))
    return not machine or run.hostname == machine or by_gpu


def show(known: Known, runs: Sequence[Listed], machine: str, last: int, console: Console) -> None:
    """Print the runs of a machine, or of all, each with what changed since the one before, then its benchmarks."""
    if runs:
        _show_runs(runs, console)
    for folder, problem in known.unreadable.items():
        _print(on_one_line(f"not readable: {folder}: {problem}"), console)
    for folder in known.unfinished:
        _print(on_one_line(f"not finished: {folder}; continue it: dgxcert validate --resume {folder}"), console)
    if machine:
        _show_benchmarks(runs, last, console)
    _print(f"{counted(len(runs), 'run')} of {counted(len({run.machine for run in runs}), 'machine')}", console)


def _show_runs(runs: Sequence[Listed], console: Console) -> None:
    """One row for each run; in a terminal that is too narrow for it, the figures stand below."""
    rows = [[*COLUMNS, *FIGURES, "run"], *map(_row, runs)]
    beside = [[note] for note in _notes(runs)]
    width = console.width if console.is_terminal else None
    if width is not None and _needed(rows) > width:
        rows, same = _without_what_all_share(rows)
        if same:
            print_line(console, on_one_line(f"every run: {same}"), "dim")
        if _needed(rows) > width:
            rows, figures = _without_figures(rows)
            beside = [[f"  {of_it}" if of_it else "", *notes] for of_it, notes in zip(figures, beside, strict=True)]
    heading, *lines = layout.columns(rows)  # no rich table: it would measure thousands of rows before it prints one
    print_line(console, heading, "dim")
    _print("\n".join(_beside(line, more, width) for line, more in zip(lines, beside, strict=True)), console)
    if any(run.figures for run in runs):
        print_line(console, LEGEND, "dim")


def _needed(rows: list[list[str]]) -> int:
    """The columns of a terminal that a table takes."""
    return max(map(len, layout.columns(rows)))


def _without_figures(rows: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """The rows without their headline figures, and those of each run in words.

    >>> _without_figures([["tier", "matmul", "decode", "LoRA", "run"], ["quick", "612", "9.87 fp32", "-", "3f2a91c0"]])
    ([['tier', 'run'], ['quick', '3f2a91c0']], ['matmul 612, decode 9.87 fp32'])
    """
    first, last = -1 - len(FIGURES), -1
    figures = [
        [f"{name} {cell}" for name, cell in zip(FIGURES, row[first:last], strict=True) if cell != "-"]
        for row in rows[1:]
    ]
    return [[*row[:first], *row[last:]] for row in rows], list(map(", ".join, figures))


def _beside(line: str, more: list[str], width: int | None) -> str:
    """A row with what else there is to say of its run: behind it where there is room, else below it.

    >>> _beside("11-30 06:11  3f2a91c0", ["  (changed: driver)"], 30)
    '11-30 06:11  3f2a91c0\\n  (changed: driver)'
    """
    behind = "".join(more)
    if width is None or len(line) + len(behind) <= width:
        return f"{line}{behind}"
    below = (Line(f"  {each.strip()}", indent=4) for each in more if each)
    return "\n".join([line, *(part.text for part in fitted(below, width))])


def _row(run: Listed) -> list[str]:
    """The cells of a run, in the order of the headings."""
    moment = run.started[:16].replace("T", " ")
    figures = (_figure(run, names) for names in FIGURES.values())
    return [
        moment,
        run.hostname,
        listed_run.gpus(run.gpus),
        run.profile,
        run.tier,
        run.verdict.value,
        *figures,
        run.id,
    ]


def _figure(run: Listed, names: tuple[str, ...]) -> str:
    """The first of these headline figures that the run has, with what is unusual about it; `-` where it has none.

    Runs of other profiles measure other precisions and models: their numbers must not look alike.
    """
    figure = next((figure for name in names for figure in run.figures if figure.name == name), None)
    if figure is None:
        return "-"
    _, *case = figure.label.split()
    failed = "!" if figure.failed else ""
    return " ".join([f"{headline_figure.rounded(figure.value)}{failed}", *(word for word in case if word not in USUAL)])


def _without_what_all_share(rows: list[list[str]]) -> tuple[list[list[str]], str]:
    """The rows without the columns in which all runs are the same, for a narrow terminal; and what those say.

    >>> _without_what_all_share([["started", "host", "run"], ["2026-11-30 06:11", "spark-07", "3f2a91c0"]])
    ([['started', 'run'], ['11-30 06:11', '3f2a91c0']], 'host spark-07')
    """
    heading, *runs = rows
    values = [{run[at] for run in runs} for at in range(len(heading))]
    shared = [at for at, name in enumerate(heading) if name in SHARED and len(values[at]) == 1]
    left = [[cell for at, cell in enumerate(row) if at not in shared] for row in rows]
    if len({row[0][:YEAR] for row in left[1:]}) == 1:
        left = [left[0], *([moment[YEAR:], *more] for moment, *more in left[1:])]
    return left, ", ".join(f"{heading[at]} {next(iter(values[at]))}" for at in shared)


def _notes(runs: Sequence[Listed]) -> list[str]:
    """Behind each run: how many requirements are waived, and what else changed since the machine's run before it."""
    before: dict[str, Listed] = {}
    notes = []
    for run in timeline.completed(runs):
        earlier = before.get(run.machine)
        changed = ", ".join(timeline.changes(earlier, run)) if earlier else ""
        waived = f"  {run.waived} waived" if run.waived else ""
        notes.append(on_one_line(f"{waived}  (changed: {changed})" if changed else waived))
        before[run.machine] = run
    return notes


def _show_benchmarks(runs: Sequence[Earlier], last: int, console: Console) -> None:
    names = timeline.requirements(runs)
    width = max((len(name) for name in names), default=0)
    most = max((len(timeline.series(runs, name)) for name in names), default=0)
    last = _points(min(last, most), console.width - width if console.is_terminal else None)
    over_time = max(last, len(OVER_TIME))
    if names:
        _print(f"{'':{width}}  {OVER_TIME:{over_time}}  {'last':>18}  against the median before", console)
    for name in names:
        points = timeline.series(runs, name)
        rates = [rate for _, rate in points]
        unit = points[-1][0].units.get(name, "")
        more = f"{rates[-1] / statistics.median(rates[:-1]) - 1:+.1%}" if len(rates) > 1 else "first run"
        bars = _bars(rates[-last:], plain=console.encoding.lower() not in {"utf-8", "utf8"})
        _print(
            on_one_line(f"{name:{width}}  {bars:{over_time}}  {format_quantity(rates[-1], unit):>18}  {more}"), console
        )
    for name in names:
        for step in timeline.steps(runs, name):
            print_line(console, on_one_line(step.description), "bold red" if step.more < 0 else "green")


def _points(wanted: int, room: int | None) -> int:
    """How many points a bar chart shows, where so many columns are left beside the names; None for a pipe.

    >>> _points(20, None), _points(20, 52), _points(20, 40)
    (20, 19, 9)
    """
    return wanted if room is None else max(min(wanted, room - BESIDE), min(wanted, len(OVER_TIME)))


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
