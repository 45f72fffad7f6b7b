"""events.jsonl: nothing that was written is lost, and a torn line costs itself alone."""

import os
from pathlib import Path

import pytest

from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.room import journal
from dgxcert.room.state import RoomEvent

AT = "2026-12-01T02:00:00+00:00"


def event(host: str) -> RoomEvent:
    return RoomEvent(at=AT, host=host, kind="begun")


def written(path: Path, *hosts: str) -> None:
    with journal.Writer(path) as writer:
        for host in hosts:
            writer.write(event(host))


def test_a_second_writer_goes_on_after_the_first(tmp_path: Path) -> None:
    path = tmp_path / journal.NAME
    written(path, "a")
    written(path, "b")
    assert [each.host for each in journal.read(path)] == ["a", "b"]


@pytest.mark.parametrize("torn_at", [1, 10, -1])
def test_a_line_that_a_killed_writer_left_half_is_ended_and_skipped(tmp_path: Path, torn_at: int) -> None:
    path = tmp_path / journal.NAME
    written(path, "a", "b")
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(first + b"\n" + (second + b"\n")[:torn_at])
    written(path, "c", "d")
    expected = ["a", "b", "c", "d"] if torn_at == -1 else ["a", "c", "d"]
    assert [each.host for each in journal.read(path)] == expected


def test_a_torn_last_line_is_no_event(tmp_path: Path) -> None:
    path = tmp_path / journal.NAME
    written(path, "a", "b")
    path.write_bytes(path.read_bytes()[:-1])
    assert [each.host for each in journal.read(path)] == ["a"]


def test_what_is_none_of_ours_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / journal.NAME
    path.write_bytes(b"\xff\xfe\n[]\n" + b"x" * (journal.LONGEST + 5) + b"\n")
    written(path, "a")
    assert [each.host for each in journal.read(path)] == ["a"]


def test_a_room_without_events_has_none_and_a_link_is_not_followed(tmp_path: Path) -> None:
    assert list(journal.read(tmp_path / journal.NAME)) == []
    (tmp_path / journal.NAME).symlink_to("/etc/hostname")
    with pytest.raises(CannotStart, match="cannot be read"):
        list(journal.read(tmp_path / journal.NAME))
    with pytest.raises(CannotWrite):
        journal.Writer(tmp_path / journal.NAME)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with journal.Writer(tmp_path / journal.NAME) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(CannotWrite, match="No space left"):
                writer.write(event("a"))
        writer.write(event("b"))
    assert [each.host for each in journal.read(tmp_path / journal.NAME)] == ["b"]
