"""Progress: plain lines without a terminal, one live line on a terminal, and a reliable estimate of the time left."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from suites.example import finished, planned

from dgxcert.outcome import Outcome
from dgxcert.runner import progress
from dgxcert.runner.progress import Progress

PLAN = [planned("GPU-PRESENT", takes_s=2.0), planned("DECODE-SPEED[int4]"), planned("LORA-SPEED[red]", takes_s=100.0)]


class Screen:
    """A console and what was printed on it."""

    def __init__(self, *, terminal: bool) -> None:
        self.console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)

    @property
    def text(self) -> str:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue()

    @property
    def live(self) -> str:
        """The current live line, without its spinner."""
        self.console.print("printing redraws it")
        return self.text.rpartition("\n")[2].partition(" ")[2]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that a test advances."""
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(progress, "time", clock)
    return clock


def last_line(screen: Screen) -> str:
    return screen.text.splitlines()[-1]


def test_without_a_terminal_there_are_plain_lines_only() -> None:
    screen = Screen(terminal=False)
    with Progress(screen.console, {}) as shown:
        shown.stage("native", PLAN, set())
        for entry, outcome in zip(PLAN, (Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE), strict=True):
            shown.started(entry.key)
            shown.tick()
            shown.finished(finished(entry.key, outcome))
    assert screen.text.splitlines() == [
        "stage native: 3 requirements, about 2 min expected",
        "      PASSED    1/3  GPU-PRESENT  2.5 s",
        "      FAILED    2/3  DECODE-SPEED[int4]  2.5 s",
        "INCONCLUSIVE    3/3  LORA-SPEED[red]  2.5 s",
    ]


def test_on_a_terminal_one_line_shows_the_current_requirement_and_its_time(clock: SimpleNamespace) -> None:
    screen = Screen(terminal=True)
    with Progress(screen.console, {}) as shown:
        shown.stage("native", PLAN, set())
        shown.started("DECODE-SPEED[int4]")
        clock.now += 3
        shown.tick()
        assert screen.live == "native: DECODE-SPEED[int4] 3 s · 0/3 done · about 2 min left"


def test_the_live_line_is_removed_and_the_cursor_restored_even_after_an_error() -> None:
    screen = Screen(terminal=True)
    with pytest.raises(KeyboardInterrupt), Progress(screen.console, {}):
        raise KeyboardInterrupt
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")
    assert screen.text.endswith("\x1b[2K"), "the live line was wiped"


def test_the_time_left_goes_down_while_a_requirement_runs_and_when_it_ends(clock: SimpleNamespace) -> None:
    screen = Screen(terminal=True)
    seen = []
    with Progress(screen.console, {"LORA-SPEED[red]": 40.0}) as shown:
        shown.stage("native", PLAN, set())
        shown.started("DECODE-SPEED[int4]")
        for passed_s in (0, 4, 600):
            clock.now += passed_s
            shown.tick()
            seen.append(screen.live.rpartition(" · ")[2])
        shown.finished(finished("DECODE-SPEED[int4]"))
        seen.append(screen.live.rpartition(" · ")[2])
    assert seen == ["about 52 s left", "about 48 s left", "about 42 s left", "about 42 s left"]


def test_times_of_the_last_run_on_this_machine_replace_the_declared_ones() -> None:
    screen = Screen(terminal=False)
    expected = {"GPU-PRESENT": 5.0, "DECODE-SPEED[int4]": 20.0, "LORA-SPEED[red]": 30.0}
    Progress(screen.console, expected).stage("native", PLAN, set())
    assert "about 55 s expected" in screen.text


def test_a_resumed_run_counts_requirements_measured_before() -> None:
    screen = Screen(terminal=False)
    shown = Progress(screen.console, {})
    shown.stage("native", PLAN, {"GPU-PRESENT", "LORA-SPEED[red]"})
    assert last_line(screen) == "stage native: 3 requirements, 2 already done, about 10 s expected"
    shown.finished(finished("DECODE-SPEED[int4]"))
    assert "3/3  DECODE-SPEED[int4]" in last_line(screen)
