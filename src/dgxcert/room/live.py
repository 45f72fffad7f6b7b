"""A room while it works: a table of its hosts on a terminal; elsewhere a line for each thing that matters."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dgxcert.console import clipped, counted, on_one_line, plain, print_line
from dgxcert.plan.estimate import duration
from dgxcert.record.room.word import Word
from dgxcert.room.state import HostState, Stage

REFRESH_S = 0.5
SILENT_S = 60.0
"""Without a terminal a line says at least this often how far all are: some runners of CI end a job that is silent."""
LINES_BESIDE = 4
"""Lines of the screen that are not hosts: the counts, the headings, the rest, and one for the cursor."""
LONGEST_NAME = 28
PLURAL = {stage.value: stage.value.removesuffix("s") for stage in Stage} | {Stage.FETCHES.value: "fetch"}
RESULTS = {0: "validated", 1: "rejected", 2: "inconclusive"}
"""A validated host by the exit code of its validation."""


def standing(host: HostState) -> str:
    """Where a host stands, in a word or two.

    >>> standing(HostState("a", stage=Stage.WORKS)), standing(HostState("a", word=Word.REFUSED))
    ('works', 'refused')
    """
    if host.word is None:
        return "not reached" if host.lost else host.stage.value
    return RESULTS.get(host.exit or 0, "validated") if host.word is Word.VALIDATED else host.word.value


def urgency(host: HostState) -> int:
    """How early a host is shown where not all fit: what is wrong first, then what is not finished."""
    if host.word is Word.VALIDATED:
        return 5 if not host.exit else 2
    if host.word is not None:
        return 4 if host.word in (Word.UNDER_WAY, Word.STOPPED) else 0
    if host.lost:
        return 1
    return 4 if host.stage is Stage.WAITS else 3


URGENT = 3
"""What comes before is wrong; this is what works."""


def style(host: HostState) -> str:
    """The style of a host's standing."""
    return ("bold red", "yellow", "bold yellow", "default", "dim", "green")[urgency(host)]


def counts(hosts: Iterable[HostState]) -> str:
    """All hosts in a line: how many stand where, those that have ended first, and the time that the slowest needs.

    >>> counts([HostState("a", word=Word.VALIDATED), HostState("b", stage=Stage.WORKS, left_s=200)])
    '1 of 2 ended: 1 validated · 1 works · about 3 min left'
    """
    hosts = list(hosts)
    ended = Counter(standing(host) for host in hosts if host.word is not None)
    going = Counter(standing(host) for host in hosts if host.word is None)
    left = [host.left_s for host in hosts if host.word is None and host.left_s is not None]
    pieces = [
        f"{ended.total()} of {len(hosts)} ended{': ' if ended else ''}{_listed(ended)}",
        _listed(going),
        f"about {duration(max(left))} left" if left else "",
    ]
    return " · ".join(filter(None, pieces))


def _listed(counted_by: Counter[str]) -> str:
    """ "12 validated, 2 refused"; of several hosts that work, "3 work"."""
    return ", ".join(
        f"{number} {PLURAL.get(name, name) if number > 1 else name}" for name, number in counted_by.most_common()
    )


class _Room:
    """All hosts as a table that never has more lines than the screen."""

    def __init__(self) -> None:
        self.hosts: dict[str, HostState] = {}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        hosts = list(self.hosts.values())
        yield plain(clipped(counts(hosts), options.max_width), "bold")
        places = max(console.height - LINES_BESIDE, 1)
        shown = most_urgent(hosts, places)
        yield table(shown)
        if rest := hosts and _rest(hosts, shown):
            yield plain(clipped(rest, options.max_width), "dim")


def most_urgent(hosts: Sequence[HostState], places: int) -> list[HostState]:
    """All hosts where they fit; else those that matter most, and what is wrong takes no more than half from the rest.

    >>> hosts = [*(HostState(f"bad-{n}", word=Word.REFUSED) for n in range(9)), HostState("a", stage=Stage.WORKS)]
    >>> [host.name for host in most_urgent(hosts, 3)]
    ['bad-0', 'bad-1', 'a']
    """
    if len(hosts) <= places:
        return list(hosts)
    ordered = sorted(hosts, key=urgency)
    wrong = [host for host in ordered if urgency(host) < URGENT]
    going = [host for host in ordered if urgency(host) == URGENT]
    wrong = wrong[: max(places - len(going), places // 2)]
    rest = [host for host in ordered if urgency(host) >= URGENT]
    return [*wrong, *rest[: places - len(wrong)]]


def _rest(hosts: Sequence[HostState], shown: Sequence[HostState]) -> str:
    """What is said of the hosts that do not fit."""
    names = {host.name for host in shown}
    hidden = Counter(standing(host) for host in hosts if host.name not in names)
    return f"and {counted(hidden.total(), 'host')} more: {_listed(hidden)}" if hidden else ""


def table(hosts: Iterable[HostState]) -> Table:
    """A line for each host: where it stands, how far it is, what it measures, the time left, what it said last."""
    made = Table(box=None, pad_edge=False, expand=True, header_style="dim", padding=(0, 2, 0, 0))
    made.add_column("host", no_wrap=True, max_width=LONGEST_NAME)
    made.add_column("stands", no_wrap=True, min_width=9)
    made.add_column("done", no_wrap=True, justify="right")
    made.add_column("measures", no_wrap=True, ratio=2)
    made.add_column("left", no_wrap=True, justify="right", min_width=6)
    made.add_column("said last", no_wrap=True, ratio=3)
    for host in hosts:
        made.add_row(*_cells(host))
    return made


def _cells(host: HostState) -> list[Text]:
    working = host.word is None
    left = duration(host.left_s) if working and host.left_s is not None else ""
    texts = [
        (host.name, ""),
        (standing(host), style(host)),
        (f"{host.done}/{host.total}" if host.total else "", ""),
        ((host.current or "") if working else "", ""),
        (left, ""),
        (host.said, "dim"),
    ]
    return [plain(on_one_line(text), shade) for text, shade in texts]


class TableView:
    """The table, live; use it as a context manager."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._room, self._clock, self._drawn_s, self._console = _Room(), clock, float("-inf"), console
        self._live = Live(self._room, console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "TableView":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, host: HostState) -> None:
        """Show a host as it is known now."""
        self._room.hosts[host.name] = host

    def say(self, line: str) -> None:
        """Print a line above the table."""
        print_line(self._console, line)

    def tick(self) -> None:
        """Draw, twice a second."""
        if self._clock() - self._drawn_s >= REFRESH_S:
            self._drawn_s = self._clock()
            self.draw()

    def draw(self) -> None:
        """Draw now."""
        self._live.refresh()


class LinesView:
    """A line where a validation begins and where a host ends, and one from time to time for all."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock, self._printed_s = console, clock, clock()
        self._hosts: dict[str, HostState] = {}

    def __enter__(self) -> "LinesView":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""

    def update(self, host: HostState) -> None:
        """Say what matters of a change: it works, it cannot be reached, it has ended."""
        before = self._hosts.get(host.name)
        self._hosts[host.name] = host
        if before is None or standing(before) == standing(host):
            return
        if host.word is not None or host.lost or host.stage is Stage.WORKS:
            said = f": {on_one_line(host.said)}" if host.said and (host.word or host.lost) else ""
            self.say(f"{on_one_line(host.name)}  {standing(host)}{said}")

    def say(self, line: str) -> None:
        """Print a line with the time."""
        print_line(self._console, f"{time.strftime('%H:%M:%S')}  {line}")
        self._printed_s = self._clock()

    def tick(self) -> None:
        """Say how far all are, where nothing was said for a while."""
        if self._clock() - self._printed_s > SILENT_S:
            self.say(counts(self._hosts.values()))


def view(console: Console) -> AbstractContextManager[TableView | LinesView]:
    """The table on a terminal; lines elsewhere, and where CI shows what a terminal would."""
    live = console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")
    return TableView(console) if live else LinesView(console)
