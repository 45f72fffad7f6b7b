"""The conductor: every host ends with a word, nothing is measured twice, and none waits for another."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from suites.played_room import RUN, Heard, PlayedController, PlayedHost, PlayedScript, explain

from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.plan.suite import Suite
from dgxcert.record.room.word import Word
from dgxcert.room import folder, journal
from dgxcert.room.conduct import batches, job
from dgxcert.room.conduct.conductor import Conductor, Plan
from dgxcert.room.conduct.pace import Pace
from dgxcert.room.folder import RoomFolder
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState

PACE = Pace(look_s=0.05, give_up_s=0.3, retry_s=0.05)
LIMIT_S = 20


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((job, "GATHER_S"), (job, "GATHER_AT_MOST_S")):
        monkeypatch.setattr(module, name, 0.02)
    monkeypatch.setattr("dgxcert.room.conduct.conductor.TICK_S", 0.01)
    monkeypatch.setattr("dgxcert.room.conduct.conductor.STOP_RETRY_S", 0.05)
    monkeypatch.setattr("dgxcert.room.conduct.pace.FASTEST_S", 0.01)


class Room:
    """A room that is played, called as often as a test wants."""

    def __init__(self, path: Path, *hosts: PlayedHost) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.path, self.view = path, Heard()
        (path / "plays").mkdir()
        self.controller = PlayedController(hosts, path / "plays")
        self.folder = self._folder()

    def _folder(self) -> RoomFolder:
        suite = Suite(version="1.0.0", sha256="a" * 64)
        now = datetime.now(UTC)
        return folder.choose(self.path / "results", self.inventory, RoomOptions(), suite, now).folder

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.path / "room.yaml", tuple(Host(name, "10.0.0.1") for name in self.hosts))

    def conductor(self, *, at_once: int = 0, detach: bool = False) -> Conductor:
        plan = Plan(PACE, explain, "dgxcert room run room.yaml", at_once, detach)
        script = PlayedScript(self.path / "plays")
        return Conductor(self.folder, self.inventory, self.controller, script, plan, self.view)

    def call(
        self,
        meanwhile: Callable[[Conductor], bool] = lambda _: False,
        *,
        at_once: int = 0,
        detach: bool = False,
    ) -> dict[str, HostState]:
        """Conduct until all is done, or `meanwhile` returns True."""
        self.controller.played.clear()
        end = time.monotonic() + LIMIT_S
        with self.conductor(at_once=at_once, detach=detach) as conductor:
            while not conductor.done and not meanwhile(conductor):
                assert time.monotonic() < end, self.controller.played
                conductor.step()
            conductor.write_hosts()
            return conductor.hosts

    def plays(self, host: str) -> list[str]:
        """What was played on a host in the last call."""
        return [name for name, hosts in self.controller.played if host in hosts]

    def words(self) -> dict[str, str]:
        """As hosts.json has them."""
        return {row["name"]: row["word"] for row in json.loads((self.folder.path / "hosts.json").read_text())}


def test_every_host_is_validated_and_its_run_lies_in_its_folder(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a"), PlayedHost("b", exit=1, looks=1))
    hosts = room.call()
    assert room.words() == {"a": "validated", "b": "validated"}
    assert (hosts["b"].exit, hosts["b"].run) == (1, RUN)
    assert (room.folder.of_host("a") / RUN / "run.json").read_text() == "{}"
    assert (room.folder.of_host("a") / "log.txt").read_text() == "the output"
    assert room.plays("a") == ["answers", "deliver", "begin", "look", "look", "look", "pack", "fetch"]
    assert set(hosts["a"].identity) == {"machine-id"}
    assert not list((tmp_path / "plays").glob("*.tgz"))


@pytest.mark.parametrize("play", ["answers", "deliver", "begin"])
def test_what_keeps_a_host_from_beginning_is_its_word(tmp_path: Path, play: str) -> None:
    room = Room(tmp_path, PlayedHost("a", trouble={play: ["failed"]}), PlayedHost("b"))
    hosts = room.call()
    assert (hosts["a"].word, hosts["a"].said, hosts["a"].remedy) == (Word.NOT_STARTED, "it refuses", ("Look at it.",))
    assert hosts["b"].word is Word.VALIDATED


def test_a_host_that_cannot_be_reached_at_first_is_not_waited_for(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a", trouble={"answers": ["lost"]}))
    assert room.call()["a"].word is Word.NO_ROUTE
    assert room.plays("a") == ["answers"]


@pytest.mark.parametrize("play", ["deliver", "begin", "look", "pack", "fetch"])
def test_a_host_that_is_lost_for_a_moment_goes_on(tmp_path: Path, play: str) -> None:
    room = Room(tmp_path, PlayedHost("a", trouble={play: ["lost", "lost"]}))
    assert room.call()["a"].word is Word.VALIDATED
    assert room.hosts["a"].begun == 1


def test_a_host_that_stays_away_has_died_only_after_several_looks_and_some_time(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a", trouble={"look": ["well", *["lost"] * 99]}), PlayedHost("b"))
    host = room.call()["a"]
    assert host.word is Word.DIED
    assert "No route to host" in host.said
    assert room.plays("a").count("look") >= 1 + PACE.tries
    assert room.words() == {"a": "died on the way", "b": "validated"}


def test_a_host_that_comes_back_in_a_later_call_is_not_measured_twice(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a", looks=2, trouble={"look": ["lost"] * 20}))
    assert room.call()["a"].word is Word.DIED
    room.hosts["a"].trouble.clear()
    assert room.call()["a"].word is Word.VALIDATED
    assert (room.hosts["a"].begun, room.hosts["a"].resumed) == (1, 0)


def test_one_that_hangs_delays_no_other(tmp_path: Path) -> None:
    others = [PlayedHost(f"b{number}") for number in range(4)]
    room = Room(tmp_path, PlayedHost("a", trouble={"answers": ["hang"]}), *others)
    hosts = room.call(lambda conductor: all(conductor.hosts[each.name].word for each in others))
    assert {host.word for host in hosts.values() if host.name != "a"} == {Word.VALIDATED}
    assert hosts["a"].word is None


def test_one_that_hangs_while_all_are_looked_at_delays_no_other(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a", trouble={"look": ["hang"]}), *(PlayedHost(f"b{n}") for n in range(4)))
    hosts = room.call(lambda conductor: sum(host.word is not None for host in conductor.hosts.values()) == 4)
    assert hosts["a"].word is None


def test_a_validation_that_died_is_fetched_as_far_as_it_came(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a", state="died", said="Killed"))

    def dies(conductor: Conductor) -> bool:
        if conductor.hosts["a"].begun:
            room.hosts["a"].state = "died"
        return False

    room.hosts["a"].looks = 50
    host = room.call(dies)["a"]
    assert (host.word, host.run) == (Word.DIED, RUN)
    assert "Killed" in host.said


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("dgxcert: No GPU was found.", Word.NOT_STARTED),
        ("dgxcert: results/a/run.json cannot be written: No space left on device.", Word.DISK),
    ],
)
def test_a_validation_that_exits_with_3_says_why_itself(tmp_path: Path, said: str, word: Word) -> None:
    host = Room(tmp_path, PlayedHost("a", exit=3, said=said)).call()["a"]
    assert (host.word, host.said) == (word, said.removeprefix("dgxcert: "))


@pytest.mark.parametrize("code", [124, 137, -9])
def test_a_validation_that_was_killed_died(tmp_path: Path, code: int) -> None:
    assert Room(tmp_path, PlayedHost("a", exit=code)).call()["a"].word is Word.DIED


def test_a_verdict_without_a_run_is_none(tmp_path: Path) -> None:
    assert Room(tmp_path, PlayedHost("a", packed=False)).call()["a"].word is Word.DIED


def test_what_cannot_be_fetched_is_fetched_by_the_next_call_and_only_that(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a", trouble={"fetch": ["failed"] * 3}))
    host = room.call()["a"]
    assert (host.word, host.said) == (Word.UNDER_WAY, "It ended, and could not be fetched: it refuses")
    assert room.call()["a"].word is Word.VALIDATED
    assert room.plays("a") == ["pack", "fetch"]


def test_an_agent_that_says_nothing_is_no_verdict(tmp_path: Path) -> None:
    host = Room(tmp_path, PlayedHost("a", trouble={"begin": ["mute"]})).call()["a"]
    assert (host.word, host.said) == (Word.NOT_STARTED, "Its agent gave no answer that can be read: nothing")


def test_a_play_that_ends_without_a_word_of_a_host_is_none_of_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path, PlayedHost("a"))
    monkeypatch.setattr(room.controller, "play", lambda *_, **__: 4)
    assert room.call()["a"].word is Word.NOT_STARTED


def test_what_keeps_a_play_from_starting_ends_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> int:
        raise CannotStart("Ansible is missing.")

    room = Room(tmp_path, PlayedHost("a"))
    monkeypatch.setattr(room.controller, "play", missing)
    with pytest.raises(CannotStart, match="Ansible is missing"):
        room.call()


def test_at_most_so_many_work_at_once(tmp_path: Path) -> None:
    room = Room(tmp_path, *(PlayedHost(f"a{number}") for number in range(6)))
    room.call(at_once=2)
    assert set(room.words().values()) == {"validated"}
    assert room.controller.working_at_once == 2


def test_what_is_left_working_is_looked_at_by_the_next_call(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a"), PlayedHost("b", trouble={"answers": ["failed"]}))
    assert room.call(detach=True)["a"].word is Word.UNDER_WAY
    assert room.plays("a") == ["answers", "deliver", "begin"]
    assert room.call()["a"].word is Word.VALIDATED
    assert room.plays("a")[0] == "look"
    assert room.hosts["a"].begun == 1
    assert room.plays("b")[0] == "answers"


def stopped_when(condition: Callable[[Conductor], bool]) -> Callable[[Conductor], bool]:
    """Stop once something is so."""
    stopped = threading.Event()

    def meanwhile(conductor: Conductor) -> bool:
        if not stopped.is_set() and condition(conductor):
            stopped.set()
            conductor.stop()
        return False

    return meanwhile


def test_a_stopped_room_has_stopped_everywhere_and_the_next_call_resumes(tmp_path: Path) -> None:
    room = Room(
        tmp_path,
        PlayedHost("a", looks=1000),
        PlayedHost("b", trouble={"deliver": ["hang"]}),
        PlayedHost("c", looks=1),
    )
    hosts = room.call(stopped_when(lambda conductor: conductor.hosts["a"].done > 2 and bool(conductor.hosts["c"].word)))
    assert room.words() == {"a": "stopped", "b": "stopped", "c": "validated"}
    assert (hosts["a"].run, hosts["b"].said) == (RUN, "Nothing was begun on it.")
    assert room.hosts["a"].state == "stopped"
    room.hosts["a"].looks = 1
    assert {host.word for host in room.call().values()} == {Word.VALIDATED}
    assert (room.hosts["a"].begun, room.hosts["a"].resumed, room.plays("c")) == (1, 1, [])


def test_a_host_that_cannot_be_stopped_is_named(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a", looks=1000, trouble={"stop": ["lost"] * 9}))
    host = room.call(stopped_when(lambda conductor: conductor.hosts["a"].done > 1))["a"]
    assert host.word is Word.UNDER_WAY
    assert "could not be stopped, and may still work" in host.said
    assert "dgxcert room stop" in host.remedy[0]


def test_a_host_that_was_beginning_when_all_was_stopped_is_stopped_too(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a", looks=1000, trouble={"begin": ["hang"]}))
    room.call(stopped_when(lambda _: room.plays("a")[-1:] == ["begin"]))
    assert room.plays("a")[-1] == "stop"
    assert room.words() == {"a": "stopped"}


def test_hosts_that_are_left_have_a_word(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a", looks=1000), PlayedHost("b", trouble={"answers": ["hang"]}))

    def left(conductor: Conductor) -> bool:
        if conductor.hosts["a"].done > 1:
            conductor.leave("The terminal was lost.")
        return False

    room.call(left)
    assert room.words() == {"a": "under way", "b": "stopped"}
    assert room.hosts["a"].state == "works"


def test_after_kill_9_at_any_moment_nothing_is_measured_twice_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = Room(
        tmp_path / "whole", PlayedHost("a"), PlayedHost("b", exit=1), PlayedHost("c", trouble={"look": ["lost"]})
    )
    whole.call()
    lines = whole.folder.events.read_bytes()
    for cut in range(0, len(lines), 61):  # in the middle of lines, too
        (tmp_path / str(cut)).mkdir()
        room = Room(tmp_path / str(cut), *whole.hosts.values())
        room.folder.events.write_bytes(lines[:cut])
        assert {host.word for host in room.call().values()} == {Word.VALIDATED}, cut
        assert [host.begun for host in room.hosts.values()] == [1, 1, 1], cut


def test_a_host_that_joins_is_measured_alone(tmp_path: Path) -> None:
    room = Room(tmp_path, PlayedHost("a"))
    room.call()
    room.hosts["b"] = room.controller.hosts["b"] = PlayedHost("b")
    room.call()
    assert room.plays("a") == []
    assert room.words() == {"a": "validated", "b": "validated"}


def test_a_full_disk_of_the_controller_leaves_the_hosts_working(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path, PlayedHost("a", looks=1000))

    def full(conductor: Conductor) -> bool:
        if conductor.hosts["a"].done > 1:
            error = CannotWrite(room.folder.events, OSError(28, "No space left on device"))
            monkeypatch.setattr(journal.Writer, "write", lambda *_: (_ for _ in ()).throw(error))
        return False

    with pytest.raises(CannotWrite, match="No space left"):
        room.call(full)
    monkeypatch.undo()
    room.hosts["a"].looks = 1
    assert room.call()["a"].word is Word.VALIDATED
    assert room.hosts["a"].begun == 1


def test_secrets_in_what_a_host_says_are_not_kept(tmp_path: Path) -> None:
    token = "hf_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7"
    room = Room(tmp_path, PlayedHost("a", exit=3, said=f"dgxcert: refused with {token}"))
    room.call()
    assert token not in room.folder.events.read_text()
    assert token not in (room.folder.path / "hosts.json").read_text()


def test_the_last_task_of_a_play_is_found_in_a_block_too(tmp_path: Path) -> None:
    play = tmp_path / "look.yml"
    play.write_text(json.dumps([{"hosts": "all", "tasks": [{"name": "a"}, {"block": [{"name": "b"}, {"name": "c"}]}]}]))
    assert batches.last_task(play) == "c"
