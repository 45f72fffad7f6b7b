"""The conductor: every host ends with a word, nothing is measured twice, and none waits for another."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from suites.played_room import PACE, RUN, PlayedHost, PlayedRoom, PlayedScript, hurry

from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.record.room.word import Word
from dgxcert.room import journal
from dgxcert.room.conduct import batches
from dgxcert.room.conduct.conductor import Answered, Conductor


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def test_every_host_is_validated_and_its_run_lies_in_its_folder(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a"), PlayedHost("b", exit=1, looks=1))
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
    room = PlayedRoom(tmp_path, PlayedHost("a", trouble={play: ["failed"]}), PlayedHost("b"))
    hosts = room.call()
    assert (hosts["a"].word, hosts["a"].said, hosts["a"].remedy) == (Word.NOT_STARTED, "it refuses", ("Look at it.",))
    assert hosts["b"].word is Word.VALIDATED


def test_a_host_whose_answer_says_what_it_lacks_is_not_delivered_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a"))
    wrong = Answered({"machine-id": "1"}, (Word.NO_PYTHON, "found none", ("Install one.",)))
    monkeypatch.setattr(PlayedScript, "answered", lambda *_: wrong)
    host = room.call()["a"]
    assert (host.word, host.said, host.remedy) == (Word.NO_PYTHON, "found none", ("Install one.",))
    assert (host.identity, room.plays("a")) == ({"machine-id": "1"}, ["answers"])


def test_a_host_that_cannot_be_reached_at_first_is_not_waited_for(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", trouble={"answers": ["lost"]}))
    assert room.call()["a"].word is Word.NO_ROUTE
    assert room.plays("a") == ["answers"]


@pytest.mark.parametrize("play", ["deliver", "begin", "look", "pack", "fetch"])
def test_a_host_that_is_lost_for_a_moment_goes_on(tmp_path: Path, play: str) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", trouble={play: ["lost", "lost"]}))
    assert room.call()["a"].word is Word.VALIDATED
    assert room.hosts["a"].begun == 1


def test_a_host_that_stays_away_has_died_only_after_several_looks_and_some_time(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", trouble={"look": ["well", *["lost"] * 99]}), PlayedHost("b"))
    host = room.call()["a"]
    assert host.word is Word.DIED
    assert "No route to host" in host.said
    assert room.plays("a").count("look") >= 1 + PACE.tries
    assert room.words() == {"a": "died on the way", "b": "validated"}


def test_a_host_that_comes_back_in_a_later_call_is_not_measured_twice(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=2, trouble={"look": ["lost"] * 20}))
    assert room.call()["a"].word is Word.DIED
    room.hosts["a"].trouble.clear()
    assert room.call()["a"].word is Word.VALIDATED
    assert (room.hosts["a"].begun, room.hosts["a"].resumed) == (1, 0)


def test_one_that_hangs_delays_no_other(tmp_path: Path) -> None:
    others = [PlayedHost(f"b{number}") for number in range(4)]
    room = PlayedRoom(tmp_path, PlayedHost("a", trouble={"answers": ["hang"]}), *others)
    hosts = room.call(lambda conductor: all(conductor.hosts[each.name].word for each in others))
    assert {host.word for host in hosts.values() if host.name != "a"} == {Word.VALIDATED}
    assert hosts["a"].word is None


def test_one_that_hangs_while_all_are_looked_at_delays_no_other(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", trouble={"look": ["hang"]}), *(PlayedHost(f"b{n}") for n in range(4)))
    hosts = room.call(lambda conductor: sum(host.word is not None for host in conductor.hosts.values()) == 4)
    assert hosts["a"].word is None


def test_a_validation_that_died_is_fetched_as_far_as_it_came(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", state="died", said="Killed"))

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
    host = PlayedRoom(tmp_path, PlayedHost("a", exit=3, said=said)).call()["a"]
    assert (host.word, host.said) == (word, said.removeprefix("dgxcert: "))


@pytest.mark.parametrize("code", [124, 137, -9])
def test_a_validation_that_was_killed_died(tmp_path: Path, code: int) -> None:
    assert PlayedRoom(tmp_path, PlayedHost("a", exit=code)).call()["a"].word is Word.DIED


def test_a_verdict_without_a_run_is_none(tmp_path: Path) -> None:
    assert PlayedRoom(tmp_path, PlayedHost("a", packed=False)).call()["a"].word is Word.DIED


def test_what_cannot_be_fetched_is_fetched_by_the_next_call_and_only_that(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", trouble={"fetch": ["failed"] * 3}))
    host = room.call()["a"]
    assert (host.word, host.said) == (Word.UNDER_WAY, "It ended, and could not be fetched: it refuses")
    assert room.call()["a"].word is Word.VALIDATED
    assert room.plays("a") == ["pack", "fetch"]


def test_an_agent_that_says_nothing_is_no_verdict(tmp_path: Path) -> None:
    host = PlayedRoom(tmp_path, PlayedHost("a", trouble={"begin": ["mute"]})).call()["a"]
    assert (host.word, host.said) == (Word.NOT_STARTED, "Its agent gave no answer that can be read: nothing")


def test_a_play_that_ends_without_a_word_of_a_host_is_none_of_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a"))
    monkeypatch.setattr(room.controller, "play", lambda *_, **__: 4)
    assert room.call()["a"].word is Word.NOT_STARTED


def test_what_keeps_a_play_from_starting_ends_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> int:
        raise CannotStart("Ansible is missing.")

    room = PlayedRoom(tmp_path, PlayedHost("a"))
    monkeypatch.setattr(room.controller, "play", missing)
    with pytest.raises(CannotStart, match="Ansible is missing"):
        room.call()


def test_at_most_so_many_work_at_once(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, *(PlayedHost(f"a{number}") for number in range(6)))
    room.call(at_once=2)
    assert set(room.words().values()) == {"validated"}
    assert room.controller.working_at_once == 2


def test_what_is_left_working_is_looked_at_by_the_next_call(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a"), PlayedHost("b", trouble={"answers": ["failed"]}))
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
    room = PlayedRoom(
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


def test_stopping_leaves_the_words_of_hosts_that_this_call_has_not_tried(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000), PlayedHost("b", trouble={"answers": ["failed"]}))
    room.call(detach=True)
    with room.conductor() as conductor:
        conductor.stop()
    assert (conductor.hosts["b"].word, conductor.hosts["b"].said) == (Word.NOT_STARTED, "it refuses")


def test_a_host_that_cannot_be_stopped_is_named(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000, trouble={"stop": ["lost"] * 9}))
    host = room.call(stopped_when(lambda conductor: conductor.hosts["a"].done > 1))["a"]
    assert host.word is Word.UNDER_WAY
    assert "could not be stopped, and may still work" in host.said
    assert "dgxcert room stop" in host.remedy[0]


def test_a_host_that_was_beginning_when_all_was_stopped_is_stopped_too(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000, trouble={"begin": ["hang"]}))
    room.call(stopped_when(lambda _: room.plays("a")[-1:] == ["begin"]))
    assert room.plays("a")[-1] == "stop"
    assert room.words() == {"a": "stopped"}


def test_hosts_that_are_left_have_a_word(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000), PlayedHost("b", trouble={"answers": ["hang"]}))

    def left(conductor: Conductor) -> bool:
        if conductor.hosts["a"].done > 1:
            conductor.leave("The terminal was lost.")
        return False

    room.call(left)
    assert room.words() == {"a": "under way", "b": "stopped"}
    assert room.hosts["a"].state == "works"


def test_after_kill_9_at_any_moment_nothing_is_measured_twice_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = PlayedRoom(
        tmp_path / "whole", PlayedHost("a"), PlayedHost("b", exit=1), PlayedHost("c", trouble={"look": ["lost"]})
    )
    whole.call()
    lines = whole.folder.events.read_bytes()
    for cut in range(0, len(lines), 61):  # in the middle of lines, too
        (tmp_path / str(cut)).mkdir()
        room = PlayedRoom(tmp_path / str(cut), *whole.hosts.values())
        room.folder.events.write_bytes(lines[:cut])
        assert {host.word for host in room.call().values()} == {Word.VALIDATED}, cut
        assert [host.begun for host in room.hosts.values()] == [1, 1, 1], cut


def test_a_host_that_joins_is_measured_alone(tmp_path: Path) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a"))
    room.call()
    room.hosts["b"] = room.controller.hosts["b"] = PlayedHost("b")
    room.call()
    assert room.plays("a") == []
    assert room.words() == {"a": "validated", "b": "validated"}


def test_a_full_disk_of_the_controller_leaves_the_hosts_working(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = PlayedRoom(tmp_path, PlayedHost("a", looks=1000))

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
    room = PlayedRoom(tmp_path, PlayedHost("a", exit=3, said=f"dgxcert: refused with {token}"))
    room.call()
    assert token not in room.folder.events.read_text()
    assert token not in (room.folder.path / "hosts.json").read_text()


def test_the_last_task_of_a_play_is_found_in_a_block_too(tmp_path: Path) -> None:
    play = tmp_path / "look.yml"
    play.write_text(json.dumps([{"hosts": "all", "tasks": [{"name": "a"}, {"block": [{"name": "b"}, {"name": "c"}]}]}]))
    assert batches.last_task(play) == "c"
