"""One validation at a time measures on a machine: the second one says whose turn it is, and starts nothing."""

import errno
import json
import os
from pathlib import Path

import pytest
from suites import driver, example

from dgxcert.outcome import CannotStart
from dgxcert.runner import turn


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock of an invented machine."""
    path = tmp_path / turn.NAME
    monkeypatch.setattr(turn, "path", lambda: path)
    return path


def refusal(results: Path) -> str:
    with pytest.raises(CannotStart) as refused, turn.taken(results):
        raise AssertionError("it is the turn of another")
    return str(refused.value)


def test_two_runs_at_the_same_time_do_not_both_measure(tmp_path: Path) -> None:
    """The second is refused before it writes anything; when the first is killed, the turn is free."""
    profile, machine = example.profile_file(tmp_path), str(tmp_path)
    first = driver.start(
        "calm", "validate", "--profile", profile, "--results", tmp_path / "a", asks="sleep", machine=machine
    )
    folder = driver.wait_until_measuring(tmp_path / "a", "LONG")
    arguments = ("validate", "--profile", profile, "--results", tmp_path / "b", "--only", "FIRST")
    second = driver.start("calm", *arguments, machine=machine)
    said = " ".join(second.communicate(timeout=driver.ENDS_S)[0].split())
    assert second.returncode == 3
    assert "Another validation is measuring on this machine: process " in said
    assert f"process {first.pid} of " in said
    assert str(tmp_path / "a") in said.replace(" ", "")
    assert f"tail --pid={first.pid}" in said
    assert not (tmp_path / "b").exists()
    record = (folder / "records.jsonl").read_bytes()
    first.kill()
    first.communicate()
    third = driver.start("calm", *arguments, machine=machine)
    third.communicate(timeout=driver.ENDS_S)
    assert third.returncode == 0
    assert (folder / "records.jsonl").read_bytes() == record


def test_a_run_is_not_resumed_while_another_measures(place: Path, tmp_path: Path) -> None:
    with turn.taken(tmp_path / "results"):
        said = refusal(tmp_path)
    assert f"process {os.getpid()} of " in said
    assert f"with results in {tmp_path / 'results'}" in said
    with turn.taken(tmp_path):
        pass


def test_the_turn_ends_with_an_error(place: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), turn.taken(tmp_path):
        raise KeyboardInterrupt
    with turn.taken(tmp_path):
        pass


def test_all_users_can_take_the_turn(place: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with turn.taken(tmp_path):
            assert place.stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


def test_a_file_that_is_read_only_for_this_user_still_keeps_the_turn(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_text("", encoding="utf-8")
    really = os.open

    def read_only(name: Path, flags: int, *more: int) -> int:
        if flags & (os.O_RDWR | os.O_CREAT):
            raise PermissionError(13, "Permission denied", str(name))
        return really(name, flags, *more)

    monkeypatch.setattr(os, "open", read_only)
    with turn.taken(tmp_path):
        said = refusal(tmp_path)
    assert "Another validation is measuring on this machine: two at a time would slow each other" in said
    assert "fuser" in said


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "$(rm)"}', json.dumps({"pid": 4194399})])
def test_what_anybody_wrote_into_the_file_is_not_believed(place: Path, tmp_path: Path, content: str) -> None:
    with turn.taken(tmp_path):
        place.write_text(content, encoding="utf-8")
        assert "measuring on this machine: two at a time" in refusal(tmp_path)


def test_what_is_shown_of_another_user_is_plain_text(place: Path, tmp_path: Path) -> None:
    hostile = {"pid": os.getpid(), "since": "now", "user": "ada;\x1b[2J", "results": "$(rm -r /)"}
    with turn.taken(tmp_path):
        place.write_text(json.dumps(hostile), encoding="utf-8")
        assert f"process {os.getpid()} of ada???2J, since now, with results in ??rm?-r?/?" in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_only_a_plain_file_is_the_lock(place: Path, tmp_path: Path, kind: str) -> None:
    other = tmp_path / "other"
    other.write_text("kept", encoding="utf-8")
    {"link": lambda: place.symlink_to(other), "folder": place.mkdir, "pipe": lambda: os.mkfifo(place)}[kind]()
    assert f"{place}, by which validations on one machine take turns, cannot be used" in refusal(tmp_path)
    assert other.read_text(encoding="utf-8") == "kept"


@pytest.mark.usefixtures("place")
def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(turn.fcntl, "flock", no_locks)
    with turn.taken(tmp_path):
        pass
