"""The claim on a run: one process at a time, for as long as it lives."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from suites import example

from dgxcert.outcome import CannotStart
from dgxcert.record import journal
from dgxcert.record.claim import claimed


@pytest.fixture
def writer(tmp_path: Path) -> journal.Writer:
    writer = journal.Writer(tmp_path)
    writer.append(example.opened(example.planned("A")))
    return writer


def test_a_run_that_is_measured_is_not_signed_or_packed(writer: journal.Writer, tmp_path: Path) -> None:
    writer.claim()
    with pytest.raises(CannotStart, match="is still being worked on by another dgxcert"), claimed(tmp_path):
        raise AssertionError("it was claimed twice")
    writer.close()
    with claimed(tmp_path):
        pass


def test_a_run_that_is_signed_is_not_resumed_or_signed_again(writer: journal.Writer, tmp_path: Path) -> None:
    with claimed(tmp_path):
        with pytest.raises(CannotStart, match="still being worked on"):
            writer.claim()
        with pytest.raises(CannotStart, match="still being worked on"), claimed(tmp_path):
            raise AssertionError("it was claimed twice")


@pytest.mark.parametrize(
    "make",
    [lambda _: None, lambda path: path.mkdir(), lambda path: path.symlink_to("/dev/zero")],
    ids=["missing", "folder", "link"],
)
def test_what_is_no_run_is_left_to_its_reader(make, tmp_path: Path) -> None:
    make(tmp_path / journal.NAME)
    with claimed(tmp_path):
        pass


def test_a_file_system_without_locks_is_no_obstacle(
    writer: journal.Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    writer.claim()
    with claimed(tmp_path):
        pass


@pytest.mark.usefixtures("writer")
def test_a_run_is_claimed_with_write_access_as_network_file_systems_want_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = []
    monkeypatch.setattr(fcntl, "flock", lambda file, _: access.append(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE))
    with claimed(tmp_path):
        pass
    assert access == [os.O_RDWR]


def test_whoever_claims_a_run_continues_after_the_last_line_of_who_had_it(
    writer: journal.Writer, tmp_path: Path
) -> None:
    writer.claim()
    waits = journal.Writer(tmp_path)
    writer.append(example.started("A"))
    writer.close()
    waits.claim()
    assert waits.strange() == ""
    waits.append(example.finished("A"))
    waits.close()
    assert [event.event for event in journal.read(tmp_path)] == ["opened", "started", "finished"]


def test_a_writer_that_gets_no_claim_changes_nothing(writer: journal.Writer, tmp_path: Path) -> None:
    writer.claim()
    with (tmp_path / journal.NAME).open("ab") as file:
        file.write(b"half of a line")  # of a writer that is about to write the other half
    content = (tmp_path / journal.NAME).read_bytes()
    other = journal.Writer(tmp_path)
    with pytest.raises(CannotStart):
        other.claim()
    other.close()
    assert (tmp_path / journal.NAME).read_bytes() == content
