"""Progress: one live line on a terminal, a few plain lines elsewhere, and what did not pass at once."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from suites.example import finished, planned

from dgxcert.judgement.requirement import Stage
from dgxcert.outcome import Outcome
from dgxcert.plan.estimate import Estimate
from dgxcert.record.journal import Said
from dgxcert.report.terminal import Detail
from dgxcert.runner.progress import Progress

DISK = planned("DISK-SPACE", takes_s=2.0, stage=Stage.HOST)
DECODE = [planned(f"DECODE-SPEED[{case}]", group="benchmarks") for case in ("fp16", "bf16", "int4")]
LORA = planned("LORA-SPEED[red]", takes_s=100.0, group="benchmarks")
WORK = [*DECODE, LORA]
AFTER = planned("GPU-XID-AFTER", takes_s=2.0, stage=Stage.AFTER)
PLAN = [DISK, *WORK, AFTER]


class Screen:
    """A console and what was printed on it."""

    def __init__(self, *, terminal: bool, width: int = 120) -> None:
        self.console = Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)

    @property
    def text(self) -> str:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def live(self) -> str:
        """The current live line, without its spinner."""
        self.console.print("printing redraws it")
        return self.text.rpartition("\n")[2].partition(" ")[2]


@pytest.fixture(autouse=True)
def outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """No CI, whose terminals show no live line."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def clock() -> SimpleNamespace:
    """Time that a test advances."""
    return SimpleNamespace(now=1000.0)


def shown_on(screen: Screen, known: dict[str, float] | None = None, **about: Any) -> Progress:
    return Progress(screen.console, PLAN, Estimate(PLAN, known or {}), **about)


def whole_run(screen: Screen, outcome: Outcome = Outcome.PASSED, **about: Any) -> None:
    """A run in which the second case of DECODE-SPEED ends with an outcome, and all else passes."""
    with shown_on(screen, **about) as shown:
        for name, plan in (("host", [DISK]), ("native", WORK), ("after", [AFTER])):
            shown.stage(name, plan, set())
            for entry in plan:
                shown.started(entry.key)
                shown.tick()
                shown.finished(finished(entry.key, outcome if entry is DECODE[1] else Outcome.PASSED))


def test_without_a_terminal_each_requirement_has_one_line_however_many_cases_it_has() -> None:
    screen = Screen(terminal=False)
    whole_run(screen)
    assert screen.lines == [
        "6 requirements to measure, about 2 min",
        "      PASSED      1/6  host       DISK-SPACE  2.5 s",
        "      PASSED      4/6  native     DECODE-SPEED, 3 cases  7.5 s",
        "      PASSED      5/6  native     LORA-SPEED  2.5 s",
        "      PASSED      6/6  after      GPU-XID-AFTER  2.5 s",
    ]


def test_what_does_not_pass_has_a_line_of_its_own_at_once() -> None:
    screen = Screen(terminal=False)
    whole_run(screen, Outcome.FAILED)
    assert screen.lines[2:4] == [
        "      FAILED      3/6  native     DECODE-SPEED[bf16]  2.5 s",
        "      PASSED      4/6  native     DECODE-SPEED, 2 cases  5.0 s",
    ]


def test_quietly_each_group_has_one_line() -> None:
    screen = Screen(terminal=False)
    whole_run(screen, detail=Detail.VERDICT)
    assert screen.lines[1:] == [
        "      PASSED      1/6  host       gpu  2.5 s",
        "      PASSED      5/6  native     benchmarks, 4 requirements  10.0 s",
        "      PASSED      6/6  after      gpu  2.5 s",
    ]


def test_verbosely_each_case_has_one_line_also_on_a_terminal() -> None:
    for terminal in (False, True):
        screen = Screen(terminal=terminal)
        whole_run(screen, detail=Detail.EVERYTHING)
        assert [key for key in (each.key for each in PLAN) if f"  {key}  2.5 s" in screen.text] == [
            each.key for each in PLAN
        ]


def test_on_a_terminal_nothing_is_left_of_what_passed_and_what_did_not_stays() -> None:
    screen = Screen(terminal=True)
    whole_run(screen)
    assert "PASSED" not in screen.text
    screen = Screen(terminal=True)
    whole_run(screen, Outcome.INCONCLUSIVE)
    assert "INCONCLUSIVE      3/6  native     DECODE-SPEED[bf16]  2.5 s\n" in screen.text


def test_on_a_terminal_one_line_shows_the_whole_run_and_the_sentence_of_what_is_measured(
    clock: SimpleNamespace,
) -> None:
    screen = Screen(terminal=True)
    with shown_on(screen, clock=lambda: clock.now) as shown:
        shown.stage("host", [DISK], {"DISK-SPACE"})
        shown.stage("native", WORK, set())
        shown.started("DECODE-SPEED[int4]")
        clock.now += 3
        shown.tick()
        assert screen.live == "1/6 · about 2 min left · native · DECODE-SPEED[int4] 3 s · title of DECODE-SPEED"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_the_live_line_never_wraps(width: int) -> None:
    screen = Screen(terminal=True, width=width)
    with shown_on(screen) as shown:
        shown.stage("native", WORK, set())
        shown.started("DECODE-SPEED[int4]")
        line = screen.live
    assert len(line) <= width - 5, "a spinner, a space, and room for ^C"
    assert line.startswith("0/6 · about 2 min"[: width - 6])


def test_a_terminal_without_unicode_gets_a_line_that_it_can_show() -> None:
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding="latin-1", write_through=True)
    console = Console(file=file, force_terminal=True, width=30, color_system=None)
    with Progress(console, PLAN, Estimate(PLAN, {})) as shown:
        shown.stage("native", WORK, set())
        shown.started("DECODE-SPEED[int4]")
        console.print("printing redraws it")
    assert "0/6 \xb7 about 2 min left" in written.getvalue().decode("latin-1")


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"CI": "true"}])
def test_a_terminal_that_cannot_redraw_a_line_and_a_log_of_ci_get_plain_lines(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    screen = Screen(terminal=True)
    whole_run(screen)
    assert "\x1b" not in screen.text
    assert len(screen.lines) == 5


def test_a_plain_log_says_from_time_to_time_that_the_run_goes_on(clock: SimpleNamespace) -> None:
    screen = Screen(terminal=False)
    with shown_on(screen, clock=lambda: clock.now) as shown:
        shown.stage("native", WORK, {entry.key for entry in DECODE})
        shown.started(LORA.key)
        for _ in range(700):
            clock.now += 1
            shown.tick()
    lines = [line for line in screen.lines if "goes on" in line]
    assert lines == ["              LORA-SPEED[red] goes on; 3/6 done, about 5 s left"] * 2


def test_the_live_line_is_removed_and_the_cursor_restored_even_after_an_error() -> None:
    screen = Screen(terminal=True)
    with pytest.raises(KeyboardInterrupt), shown_on(screen):
        raise KeyboardInterrupt
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")
    assert screen.text.endswith("\x1b[2K"), "the live line was wiped"


def test_what_passed_before_an_interruption_is_told() -> None:
    screen = Screen(terminal=False)
    with shown_on(screen) as shown:
        shown.stage("native", WORK, set())
        shown.finished(finished(DECODE[0].key))
    assert screen.lines[-1] == "      PASSED      1/6  native     DECODE-SPEED  2.5 s"


def test_the_time_left_goes_down_while_a_requirement_runs_and_when_it_ends(clock: SimpleNamespace) -> None:
    screen = Screen(terminal=True)
    seen = []
    with shown_on(screen, {"LORA-SPEED[red]": 40.0}, clock=lambda: clock.now) as shown:
        shown.stage("native", WORK, {DECODE[0].key, DECODE[1].key})
        shown.started(DECODE[2].key)
        for passed_s in (0, 4, 600):
            clock.now += passed_s
            shown.tick()
            seen.append(shown.left)
        shown.finished(finished(DECODE[2].key))
        seen.append(shown.left)
    assert seen == ["60 s", "50 s", "40 s", "40 s"]


def test_times_of_earlier_runs_on_this_machine_replace_the_declared_ones() -> None:
    screen = Screen(terminal=False)
    with shown_on(screen, {entry.key: 100.0 for entry in PLAN}):
        assert screen.lines == ["6 requirements to measure, about 10 min"]


def test_the_time_of_an_image_build_is_told_apart_until_there_is_one() -> None:
    shown = shown_on(Screen(terminal=False), image=True)
    shown.stage("host", [DISK], set())
    assert shown.left == "2 min and the image"
    shown.stage("image", [], set())
    assert shown.left == "2 min"


def test_a_build_is_told_by_the_live_line_and_its_end_is_shown_where_it_fails() -> None:
    screen = Screen(terminal=True)
    with shown_on(screen) as shown:
        for number in range(40):
            shown.building(f"Step {number} : [bold]\x1b[2J")
        assert screen.live == "image · Step 39 : [bold]\\x1b[2J"
        assert "Step 30" not in screen.text
        shown.build_failed("no such host")
    assert "\x1b[2KStep 20 " in screen.text
    assert "Step 19 " not in screen.text
    assert "no such host\n" in screen.text
    screen = Screen(terminal=False)
    shown_on(screen).building("Step 1")
    assert screen.lines == ["Step 1"]


def test_a_resumed_run_counts_requirements_measured_before() -> None:
    screen = Screen(terminal=False)
    shown = shown_on(screen)
    shown.stage("native", WORK, {each.key for each in WORK if each is not DECODE[2]})
    shown.finished(finished(DECODE[2].key))
    assert screen.lines[-1] == "      PASSED      4/6  native     DECODE-SPEED  2.5 s"


def test_what_a_stage_left_unmeasured_is_neither_done_nor_waited_for() -> None:
    shown = shown_on(Screen(terminal=False))
    shown.stage("native", WORK, set())
    shown.stage("after", [AFTER], set())
    assert (shown.done, shown.left) == ("0/6", "2 s")


def test_a_disturbed_benchmark_is_named_when_it_is_measured_again() -> None:
    screen = Screen(terminal=False)
    with shown_on(screen) as shown:
        shown.stage("native", DECODE, set())
        disturbed = finished(DECODE[0].key, Outcome.INCONCLUSIVE, reason="other work was seen\nmore", repeats=1)
        shown.finished(disturbed, again=True)
        shown.finished(finished(DECODE[1].key))
        shown.finished(finished(DECODE[2].key))
        shown.finished(finished(DECODE[0].key))
    assert screen.lines[1:] == [
        "INCONCLUSIVE      0/6  native     DECODE-SPEED[fp16]  2.5 s",
        "              other work was seen; it is measured again",
        "      PASSED      2/6  native     DECODE-SPEED, 2 cases  5.0 s",
        "      PASSED      3/6  native     DECODE-SPEED[fp16]  2.5 s",
    ]


def test_a_requirement_that_the_work_decides_is_counted_again() -> None:
    shown = shown_on(Screen(terminal=False))
    shown.stage("host", [DISK], set())
    shown.finished(finished(DISK.key, Outcome.INCONCLUSIVE))
    assert shown.done == "1/6"
    shown.stage("after", [DISK, AFTER], set())
    assert shown.done == "0/6"


def test_what_a_child_says_is_printed_on_one_line() -> None:
    screen = Screen(terminal=False)
    shown_on(screen).said(Said(at="2026-11-23T18:40:12.000Z", key="BURN-IN", text="minute 3\nCERTIFIED"))
    assert screen.lines == ["              BURN-IN: minute 3\\nCERTIFIED"]
