"""The progress of a run: one live line on a terminal; elsewhere one line for each requirement."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from dgxcert.console import counted, on_one_line, plain, print_line
from dgxcert.judgement.requirement import OWN, Stage
from dgxcert.outcome import Outcome
from dgxcert.plan import lanes
from dgxcert.plan.estimate import PROCESS_S, Estimate, duration
from dgxcert.plan.options import WORKING
from dgxcert.plan.selection import Planned
from dgxcert.record.journal import Finished, Said
from dgxcert.report.terminal import Detail
from dgxcert.report.terminal.sections import OUTCOME_STYLE

RANK = {stage.value: 2 * rank for rank, stage in enumerate(Stage)}
RANK |= {name: RANK[Stage.WORK.value] + name.startswith(f"{OWN}-") for name in WORKING}
RANK[f"{OWN}-{Stage.HOST.value}"] = RANK[Stage.HOST.value] + 1
"""The order of the stages, by the names that they have in a plan and a run; those of own checks follow the suite's."""
SILENT_S = 300.0
"""Without a terminal a line is printed at least this often: some runners of CI end a job that prints nothing."""
ECHO = 3
"""Columns that the live line leaves free: there a terminal echoes Ctrl-C as ^C, which would begin another line."""
BUILD_LINES = 20
"""Lines of a build that are shown where it fails; the log of the run has all."""


@dataclass
class _Line:
    """What becomes one line: the cases of a requirement, or the requirements of a group, that passed."""

    passed: int = 0
    seconds: float = 0.0


class _LiveLine:
    """A spinner and a text on one line of a terminal of any width: the most important stands first."""

    def __init__(self, encoding: str) -> None:
        """`encoding` is the terminal's: one that is no Unicode lacks the dots and the ellipsis."""
        self.text = ""
        unicode = encoding.lower().startswith("utf")
        self._spinner = Spinner("dots" if unicode else "line")
        self._overflow: OverflowMethod = "ellipsis" if unicode else "crop"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = plain("")
        line.no_wrap = True
        line.append(str(self._spinner.render(console.get_time())))
        line.append(f" {self.text}")
        line.truncate(max(options.max_width - ECHO, 1), overflow=self._overflow)
        yield line


class Progress:
    """Shows what a run does, how far it is and how long it still takes; use as a context manager.

    What does not pass gets a line of its own at once. What passes gets none on a terminal, where the live line tells;
    elsewhere one for each requirement once its last case has ended, or where only the verdict is asked for one for each
    group. Where everything is asked for, each case has a line everywhere.
    """

    def __init__(
        self,
        console: Console,
        plan: Iterable[Planned],
        estimate: Estimate,
        *,
        image: bool = False,
        detail: Detail = Detail.USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`plan` is what still waits of the run or is measured in it; with `image` one may be built on the way."""
        self._console = console
        self._estimate = estimate
        self._plan = {entry.key: entry for entry in plan}
        self._waiting = dict(self._plan)
        self._again: set[str] = set()
        self._lost = 0
        self._image = image
        self._quiet, self._verbose = detail is Detail.VERDICT, detail is Detail.EVERYTHING
        self._clock = clock
        self._is_live = console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")
        self._now = _LiveLine(console.encoding)
        self._live = Live(self._now, console=console, refresh_per_second=4, transient=True)
        self._stage = ""
        self._lines: dict[str, _Line] = {}
        self._build: deque[str] = deque(maxlen=BUILD_LINES)
        self._running: dict[str, float] = {}
        """Since when each requirement is being measured: one, or one of each lane."""
        self._printed = self._clock()

    def __enter__(self) -> "Progress":
        if self._is_live:
            self._live.start()
        else:
            self._print(f"{counted(len(self._plan), 'requirement')} to measure, about {self.left}")
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self._print_lines(finished=False)

    def stage(self, name: str, plan: Sequence[Planned], done: set[str]) -> None:
        """A stage starts; the requirements in `done` ended before. What earlier stages left is not measured."""
        self._print_lines(finished=False)
        self._stage, self._running = name, {}
        mine = {entry.key: entry for entry in plan if entry.key not in done}
        for key in done:
            self._waiting.pop(key, None)
        later = {key: entry for key, entry in self._waiting.items() if RANK[entry.stage.value] + entry.own > RANK[name]}
        self._lost += len(self._waiting.keys() - later.keys() - mine.keys())
        self._waiting = mine | later
        self._image = self._image and RANK[name] < RANK[Stage.IMAGE.value]
        self.tick()

    def say(self, line: str) -> None:
        """Print a line about what happens between requirements."""
        self._print(line, style="dim")

    def building(self, line: str) -> None:
        """A line of the output of an image build: the live line shows the last; without a terminal each is printed."""
        if not self._is_live or self._verbose:
            self.say(line)
            return
        self._build.append(line)
        self._now.text = on_one_line(f"image · {line}")

    def build_failed(self, problem: str) -> None:
        """The image could not be made: on a terminal the end of the build's output is shown now."""
        for line in self._build:
            self.say(line)
        self._build.clear()
        self.say(problem)

    def started(self, key: str) -> None:
        """A requirement starts."""
        self._running[key] = self._clock()
        self.tick()

    def said(self, event: Said) -> None:
        """A long requirement reports how far it has come."""
        self._print(on_one_line(f"              {event.key}: {event.text}"), style="dim")

    def finished(self, event: Finished, *, again: bool = False) -> None:
        """A requirement has ended, or will be measured `again` at the end of its stage."""
        entry = self._waiting.get(event.key)
        if entry is not None:
            self._estimate.took(entry, event.duration_s)
        repeated = event.key in self._again
        if again:
            self._again.add(event.key)
        else:
            self._waiting.pop(event.key, None)
        self._running.pop(event.key, None)
        if again or repeated or event.outcome is not Outcome.PASSED or self._verbose:
            self._print_ending(event.outcome, on_one_line(event.key), event.duration_s)
        elif entry is not None:
            line = self._lines.setdefault(self._unit(entry), _Line())
            line.passed, line.seconds = line.passed + 1, line.seconds + event.duration_s
        if again:
            reason = event.reason.split("\n", 1)[0]
            self._print(f"              {on_one_line(reason)}; it is measured again", style="dim")
        self._print_lines()
        self.tick()

    def tick(self) -> None:
        """Refresh the live line; without a terminal, say from time to time that the run goes on."""
        now = self._clock()
        if not self._is_live:
            if now - self._printed > SILENT_S:
                beside = f" and {len(self._running) - 1} beside it" if len(self._running) > 1 else ""
                current = f"{on_one_line(next(iter(self._running), self._stage))}{beside}"
                self._print(f"              {current} goes on; {self.done} done, about {self.left} left", style="dim")
            return
        self._now.text = self.line

    @property
    def line(self) -> str:
        """The text of the live line: what is most important first, since a narrow terminal shows no more."""
        pieces = [self.done, f"about {self.left} left", self._stage]
        if not self._running:
            pieces.append("starting")
        else:
            key, since = next(iter(self._running.items()))  # the one that has run longest
            entry = self._plan.get(key)
            title = f" · {entry.title}" if entry is not None else ""
            pieces.append(f"{len(self._running)} at once" if len(self._running) > 1 else "")
            pieces.append(f"{key} {self._clock() - since:.0f} s{title}")
        return on_one_line(" · ".join(filter(None, pieces)))

    @property
    def done(self) -> str:
        """How many requirements of the whole run have ended."""
        return f"{len(self._plan) - len(self._waiting) - self._lost}/{len(self._plan)}"

    @property
    def left(self) -> str:
        """Time left for the whole run; that of an image build is not known before it."""
        return f"{duration(self.seconds_left)}{' and the image' if self._image else ''}"

    @property
    def seconds_left(self) -> float:
        """Seconds that what waits is expected to take."""
        rank, now = RANK.get(self._stage, -1), self._clock()
        waiting = self._waiting.values()
        here = lanes.starts(entry for entry in waiting if RANK[entry.stage.value] == rank)
        later = lanes.starts(entry for entry in waiting if RANK[entry.stage.value] != rank)
        spent_s = {key: now - since for key, since in self._running.items()}
        return self._estimate.left(waiting, spent_s) + PROCESS_S * (max(here - 1, 0) + later)

    def _unit(self, entry: Planned) -> str:
        """What shares a line: the cases of a requirement, or the requirements of a group."""
        return entry.group if self._quiet else entry.id

    def _print_lines(self, *, finished: bool = True) -> None:
        """Print the lines that are complete; without `finished` all, since nothing more is measured now."""
        stage = RANK.get(self._stage, -1)
        here = [entry for entry in self._waiting.values() if RANK[entry.stage.value] <= stage]
        open_units = {self._unit(entry) for entry in here if entry.key not in self._again}
        for unit in [unit for unit in self._lines if not (finished and unit in open_units)]:
            line = self._lines.pop(unit)
            if not self._is_live:
                several = f", {line.passed} {'requirements' if self._quiet else 'cases'}" if line.passed > 1 else ""
                self._print_ending(Outcome.PASSED, f"{on_one_line(unit)}{several}", line.seconds)

    def _print_ending(self, outcome: Outcome, what: str, seconds: float) -> None:
        label = plain(f"{outcome.label.upper():>12}", OUTCOME_STYLE.get(outcome, "default"))
        middle = plain(f"{self.done:>9}  {self._stage:9}  {what}  ")
        self._console.print(Text.assemble(label, middle, (f"{seconds:.1f} s", "dim")), soft_wrap=True)
        self._printed = self._clock()

    def _print(self, text: str, style: str = "") -> None:
        print_line(self._console, text, style)
        self._printed = self._clock()
