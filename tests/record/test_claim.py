"""The claim on a run: one process at a time, for as long as it lives."""

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
