"""What a room shows while it works: on a terminal never more than the screen, elsewhere what matters."""

import io

import pytest

from dgxcert.console import PlainConsole
from dgxcert.record.room.word import Word
from dgxcert.room import live
from dgxcert.room.state import HostState, Stage


def console(width: int = 100, height: int = 20) -> tuple[PlainConsole, io.StringIO]:
    file = io.StringIO()
    return PlainConsole(file=file, width=width, height=height, force_terminal=True, color_system=None), file


def drawn(hosts: list[HostState], **size: int) -> list[str]:
    screen, file = console(**size)
    view = live.TableView(screen)
    for host in hosts:
        view.update(host)
    screen.print(view._room)
    return file.getvalue().splitlines()


def working(count: int) -> list[HostState]:
    return [HostState(f"w-{n:03}", stage=Stage.WORKS, done=n, total=400, current="GPU-XID") for n in range(count)]


REFUSED = [HostState(f"r-{number}", word=Word.REFUSED, said="nothing listens") for number in range(40)]
WELL = [HostState(f"v-{number:03}", word=Word.VALIDATED, exit=0) for number in range(100)]


def test_all_hosts_are_shown_in_the_order_of_the_inventory_where_they_fit() -> None:
    lines = drawn([*WELL[:2], *REFUSED[:1], *working(2)])
    assert [line.split()[0] for line in lines[2:]] == ["v-000", "v-001", "r-0", "w-000", "w-001"]
    assert lines[0] == "3 of 5 ended: 2 validated, 1 refused · 2 work"
    assert "1/400" in lines[-1]
    assert "GPU-XID" in lines[-1]


@pytest.mark.parametrize("height", [5, 10, 24, 60])
@pytest.mark.parametrize("width", [20, 80, 200])
def test_three_hundred_hosts_never_take_more_than_the_screen(width: int, height: int) -> None:
    lines = drawn([*WELL, *REFUSED, *working(160)], width=width, height=height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width


def test_where_not_all_fit_what_is_wrong_and_what_works_come_first_and_the_rest_is_counted() -> None:
    lines = drawn([*WELL, *working(160), *REFUSED], height=14, width=120)
    names = [line.split()[0] for line in lines[2:-1]]
    assert [name[0] for name in names] == ["r"] * 5 + ["w"] * 5
    assert lines[-1] == "and 290 hosts more: 155 work, 100 validated, 35 refused"


def test_what_a_host_says_cannot_steer_the_terminal_or_break_a_line() -> None:
    lines = drawn([HostState("a", stage=Stage.WORKS, said="\x1b[2Jone\ntwo", current="\x07")], width=160)
    assert len(lines) == 3
    assert "\x1b" not in "".join(lines)


def said(*hosts: HostState) -> list[str]:
    screen, file = console(width=200)
    with live.LinesView(screen) as view:
        for host in hosts:
            view.update(host)
    return [line.split("  ", 1)[1] for line in file.getvalue().splitlines()]


def test_without_a_terminal_only_what_matters_has_a_line() -> None:
    a = HostState("a")
    stages = [HostState("a", stage=stage) for stage in (Stage.ANSWERS, Stage.DELIVERS, Stage.BEGINS, Stage.WORKS)]
    seen = HostState("a", stage=Stage.WORKS, done=5, total=41)
    lost = HostState("a", stage=Stage.WORKS, lost=1, said="No route to host")
    ended = HostState("a", stage=Stage.ENDED, word=Word.VALIDATED, exit=1)
    assert said(a, *stages, seen, lost, lost, seen, ended) == [
        "a  works",
        "a  not reached: No route to host",
        "a  works",
        "a  rejected",
    ]


def test_without_a_terminal_a_silent_room_says_how_far_it_is() -> None:
    now = [0.0]
    screen, file = console()
    with live.LinesView(screen, clock=lambda: now[0]) as view:
        view.update(HostState("a", stage=Stage.WORKS, left_s=200))
        for now[0] in (1.0, 59.0, 61.0, 62.0):
            view.tick()
    assert [line.split("  ", 1)[1] for line in file.getvalue().splitlines()] == [
        "0 of 1 ended · 1 works · about 3 min left"
    ]


@pytest.mark.parametrize(
    ("terminal", "ci", "kind"),
    [(True, "", live.TableView), (True, "1", live.LinesView), (False, "", live.LinesView)],
)
def test_the_table_is_for_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, ci: str, kind: type
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("TERM", "xterm")
    assert type(live.view(PlainConsole(file=io.StringIO(), force_terminal=terminal))) is kind


def test_the_table_is_drawn_at_most_twice_a_second_and_gone_afterwards() -> None:
    now = [0.0]
    screen, file = console()
    with live.TableView(screen, clock=lambda: now[0]) as view:
        view.update(HostState("spark-01"))
        for step in range(20):
            now[0] = step * 0.1
            view.tick()
        drawn_so_far = file.getvalue().count("spark-01")
        view.say("one line")
    assert 4 <= drawn_so_far <= 5
    assert "one line" in file.getvalue()
