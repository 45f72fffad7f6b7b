"""The progress display: one live line on a terminal, plain lines everywhere else."""

import time

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from dgxcert.console import on_one_line, plain, print_line
from dgxcert.outcome import Outcome
from dgxcert.plan.selection import Planned
from dgxcert.record.journal import Finished, Said

COLOUR = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.INCONCLUSIVE: "yellow"}


class Progress:
    """Shows stage, current requirement, done/total and expected time left; use as a context manager."""

    def __init__(self, console: Console, expected_s: dict[str, float]) -> None:
        self._console = console
        self._expected_s = expected_s
        self._spinner = Spinner("dots")
        self._live = Live(self._spinner, console=console, refresh_per_second=8, transient=True)
        self._stage = ""
        self._waiting: dict[str, Planned] = {}
        self._total = 0
        self._current: str | None = None
        self._since = time.monotonic()

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def stage(self, name: str, plan: list[Planned], done: set[str]) -> None:
        """A stage starts; the requirements in `done` ended in an earlier process."""
        self._stage, self._total = name, len(plan)
        self._waiting = {entry.key: entry for entry in plan if entry.key not in done}
        self._since = time.monotonic()
        ended = self._total - len(self._waiting)
        already = f", {ended} already done" if ended else ""
        print_line(self._console, f"stage {name}: {self._total} requirements{already}, about {self._left()} expected")

    def say(self, line: str) -> None:
        """Print a line about what happens between requirements, such as an image build."""
        print_line(self._console, line, style="dim")

    def started(self, key: str) -> None:
        """A requirement starts."""
        self._current, self._since = key, time.monotonic()
        self.tick()

    def said(self, event: Said) -> None:
        """A long requirement reports how far it has come."""
        print_line(self._console, on_one_line(f"              {event.key}: {event.text}"), style="dim")

    def finished(self, event: Finished, *, again: bool = False) -> None:
        """A requirement has ended, or will be measured `again`: its line stays on the screen."""
        if not again:
            self._waiting.pop(event.key, None)
        self._current, self._since = None, time.monotonic()
        colour = COLOUR.get(event.outcome, "default")
        label, key = f"{event.outcome.label.upper():>12}", plain(f"  {self._done}  {on_one_line(event.key)}  ")
        self._console.print(Text.assemble((label, colour), key, (f"{event.duration_s:.1f} s", "dim")))
        if again:
            reason = event.reason.split("\n", 1)[0]
            print_line(self._console, f"              {reason}; it is measured again", style="dim")
        self.tick()

    def tick(self) -> None:
        """Refresh the live line."""
        if not self._console.is_terminal:
            return
        current = on_one_line(self._current or "starting")
        running_s = time.monotonic() - self._since
        left = f"about {self._left()} left"
        now = f"{self._stage}: {current} {running_s:.0f} s · {self._done.strip()} done · {left}"
        self._spinner.update(text=plain(now))

    @property
    def _done(self) -> str:
        return f"{self._total - len(self._waiting):>3}/{self._total}"

    def _left(self) -> str:
        """Expected time left, from the last run of this profile on this machine where there is one."""
        seconds = sum(self._expected_s.get(key, entry.takes_s) for key, entry in self._waiting.items())
        if self._current in self._waiting:
            entry = self._waiting[self._current]
            seconds -= min(time.monotonic() - self._since, self._expected_s.get(entry.key, entry.takes_s))
        return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
