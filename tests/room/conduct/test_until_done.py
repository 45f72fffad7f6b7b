"""Signals while a room is conducted: the first stops, another leaves, and a lost terminal leaves."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from suites.played_room import PlayedHost, PlayedRoom, hurry

from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.room import journal
from dgxcert.room.conduct.conductor import Conductor
from dgxcert.room.conduct.until_done import How, until_done
from dgxcert.runner import interrupts

AGAIN = "dgxcert room run room.yaml"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def conducted(room: PlayedRoom, *moments: Callable[[Conductor, Clock], bool], stopped: bool = False) -> How:
    """Conduct a room; each of the moments, one after the other, returns whether it has come and has acted."""
    waiting, clock = list(moments), Clock()
    with interrupts.held() as signals, room.conductor() as conductor:
        step = conductor.step

        def with_moments() -> None:
            if waiting and waiting[0](conductor, clock):
                waiting.pop(0)
            step()

        conductor.step = with_moments  # type: ignore[method-assign]
        return until_done(conductor, room.view, signals, AGAIN, stopped=stopped, clock=clock)


def raises(number: signal.Signals, *, after_s: float = 5.0) -> Callable[[Conductor, Clock], bool]:
    """The moment when the first host works, and this signal arrives so long after the one before."""

    def moment(conductor: Conductor, clock: Clock) -> bool:
        if conductor.hosts["a"].done < 2:
            return False
        clock.now_s += after_s
        signal.raise_signal(number)
        return True

    return moment


def test_without_a_signal_all_end(tmp_path: Path) -> None:
    assert conducted(room := PlayedRoom(tmp_path, PlayedHost("a"))) is How.DONE
    assert room.words() == {"a": "validated"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_stops_what_was_started(tmp_path: Path, number: signal.Signals) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000))
    assert conducted(room, raises(number)) is How.STOPPED
    assert (room.words(), room.hosts["a"].state) == ({"a": "stopped"}, "stopped")
    assert "Ctrl-C once more leaves them" in room.view.lines[0]


def test_the_same_ctrl_c_twice_is_one(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000))
    assert conducted(room, raises(signal.SIGINT), raises(signal.SIGINT, after_s=0.1)) is How.STOPPED
    assert room.words() == {"a": "stopped"}


def test_the_second_leaves_them_and_says_so(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000, trouble={"stop": ["hang"]}))
    assert conducted(room, raises(signal.SIGINT), raises(signal.SIGINT)) is How.LEFT
    assert room.words() == {"a": "under way"}
    assert room.hosts["a"].state == "works"


def test_a_lost_terminal_leaves_them_working(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000))
    assert conducted(room, raises(signal.SIGHUP)) is How.LEFT
    assert room.words() == {"a": "under way"}
    assert room.plays("a")[-1] == "look"


def test_a_room_is_stopped_by_a_command_of_its_own(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000), PlayedHost("b"))
    room.call(detach=True)
    room.hosts["b"].state = "ended"
    room.controller.played.clear()
    assert conducted(room, stopped=True) is How.STOPPED
    assert room.words() == {"a": "stopped", "b": "validated"}
    assert room.plays("a") == ["stop", "pack", "fetch"]


def test_a_full_disk_says_that_the_hosts_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000))

    def full(conductor: Conductor, _clock: Clock) -> bool:
        error = CannotWrite(room.folder.events, OSError(28, "No space left on device"))
        if conductor.hosts["a"].done > 1:
            monkeypatch.setattr(journal.Writer, "write", lambda *_: (_ for _ in ()).throw(error))
        return False

    with pytest.raises(CannotStart, match=r"No space left on device\. What was begun on the hosts goes on\.") as raised:
        conducted(room, full)
    assert raised.value.remedy[-1] == f"Then go on: {AGAIN}"
    assert room.hosts["a"].state == "works"
