"""The record: events are read back, a torn line loses only itself, and a damaged line is an error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import TESTS
from suites import disk, example

from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import journal
from dgxcert.record.state import RunState

OPENED = example.opened(example.planned("A"), example.planned("B"))
RESUMED = journal.Resumed(at=example.AT, rebooted=False)
TORN = '{"at":"2026-11-23T18:40:12.000Z","event":"finished","key":"A","outco'


def write(folder: Path, *lines: journal.Event | str, end: str = "\n") -> Path:
    """A record with whole and broken lines."""
    text = example.record(*lines).removesuffix("\n")
    (folder / journal.NAME).write_text(text + end, encoding="utf-8")
    return folder


def test_every_event_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    events = example.every_event()
    writer = journal.Writer(tmp_path)
    for event in events:
        writer.append(event)
    writer.close()
    assert journal.read(tmp_path) == events
    assert len({event.__class__ for event in events}) == len(journal.Event.__subclasses__()), "an event is missing here"


def test_a_torn_last_line_is_tolerated(tmp_path: Path) -> None:
    events = journal.read(write(tmp_path, OPENED, example.started("A"), TORN, end=""))
    assert events == [OPENED, example.started("A")]


def test_a_last_line_torn_inside_a_character_is_tolerated(tmp_path: Path) -> None:
    whole = example.record(OPENED).encode()
    (tmp_path / journal.NAME).write_bytes(whole + '{"reason":"µ'.encode()[:-1])
    assert journal.read(tmp_path) == [OPENED]


def test_a_torn_line_before_a_resumed_run_is_tolerated(tmp_path: Path) -> None:
    events = journal.read(write(tmp_path, OPENED, example.started("A"), TORN, RESUMED, example.finished("A")))
    assert events == [OPENED, example.started("A"), RESUMED, example.finished("A")]


def test_a_resumed_run_that_was_torn_too_is_tolerated(tmp_path: Path) -> None:
    torn = RESUMED.model_dump_json()[:30]
    events = journal.read(write(tmp_path, OPENED, example.started("A"), TORN, torn, RESUMED))
    assert events == [OPENED, example.started("A"), RESUMED]


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_record_cut_at_any_byte_can_be_read_and_resumed(tmp_path: Path, cut: int) -> None:
    write(tmp_path, OPENED, example.started("A"), TORN[: len(TORN) // cut], end="")
    writer = journal.Writer(tmp_path)
    writer.append(RESUMED)
    writer.close()
    assert journal.read(tmp_path) == [OPENED, example.started("A"), RESUMED]


def test_a_crash_between_a_line_and_its_end_loses_nothing(tmp_path: Path) -> None:
    writer = journal.Writer(write(tmp_path, OPENED, example.finished("A"), end=""))
    writer.append(RESUMED)
    writer.close()
    assert journal.read(tmp_path) == [OPENED, example.finished("A"), RESUMED]


FOUR = (OPENED, example.started("A"), example.finished("A", Outcome.FAILED), example.started("B"))
LINES = example.record(*FOUR).splitlines()

DAMAGE = {
    "torn": ([*LINES[:2], TORN, *LINES[2:]], "line 3: it is none of the lines that were written"),
    "zeros": ([*LINES[:2], "\x00" * 40, *LINES[2:]], "line 3: it is none of the lines that were written"),
    "added": (
        [*LINES[:2], example.finished("A").model_dump_json(), *LINES[2:]],
        "line 3: it is none of the lines that were written",
    ),
    "changed": ([*LINES[:2], LINES[2].replace("failed", "passed"), LINES[3]], "line 3: it was changed"),
    "the last one changed": ([*LINES[:3], LINES[3].replace('"B"', '"A"')], "line 4: it was changed"),
    "the first one changed": ([LINES[0].replace("spark", "other"), *LINES[1:]], "line 1: it was changed"),
    "of a newer format": ([LINES[0].replace('"format":6', '"format":7'), *LINES[1:]], "line 1: it was changed"),
    "of an older format": ([LINES[0].replace('"format":6', '"format":5'), *LINES[1:]], "line 1: it was changed"),
    "removed": ([LINES[0], *LINES[2:]], "line 2: line 2 is missing before it"),
    "two removed": ([LINES[0], LINES[3]], "line 2: lines 2 to 3 are missing before it"),
    "repeated": ([*LINES[:2], *LINES[1:]], "line 3: it was written as line 2"),
    "swapped": (
        [LINES[0], LINES[2], LINES[1], LINES[3]],
        "line 2: it was written as line 3, and line 2 comes later",
    ),
    "without its hash": ([*LINES[:2], FOUR[2].model_dump_json(), LINES[3]], "line 3: it is none of the lines"),
}


@pytest.mark.parametrize(("lines", "named"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_line_is_named_with_what_is_wrong(tmp_path: Path, lines: list[str], named: str) -> None:
    (tmp_path / journal.NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(CannotStart) as error:
        journal.read(tmp_path)
    assert named in str(error.value)


def test_a_flipped_bit_is_seen_also_in_the_last_line(tmp_path: Path) -> None:
    content = example.record(*FOUR).encode()
    events = journal.read_content(content, tmp_path)
    for at in (*range(0, len(content), 211), *range(len(content) - 100, len(content) - 1)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        try:
            assert journal.read_content(bytes(flipped), tmp_path) == events, at
        except CannotStart:
            continue
        pytest.fail(f"the flip at byte {at} of {len(content)} was not seen")


def test_an_older_record_is_read_without_hashes_and_its_damage_is_named(tmp_path: Path) -> None:
    lines = [event.model_dump_json().replace('"format":6', '"format":5') for event in FOUR]
    (tmp_path / journal.NAME).write_text("\n".join([*lines, TORN]), encoding="utf-8")
    assert len(journal.read(tmp_path)) == len(FOUR)
    writer = journal.Writer(tmp_path)
    writer.append(RESUMED)
    writer.close()
    assert journal.read(tmp_path)[-1] == RESUMED
    (tmp_path / journal.NAME).write_text("\n".join([lines[0], TORN, *lines[1:]]), encoding="utf-8")
    with pytest.raises(CannotStart, match="line 2: it is damaged"):
        journal.read(tmp_path)


def test_what_something_else_appends_is_removed_and_told(tmp_path: Path) -> None:
    writer = journal.Writer(tmp_path)
    writer.append(OPENED)
    path = tmp_path / journal.NAME
    with path.open("a", encoding="utf-8") as other:
        other.write(example.finished("A").model_dump_json() + "\n")
    assert writer.strange().startswith('{"at":')
    assert writer.strange() == ""
    with path.open("a", encoding="utf-8") as other:
        other.write("x" * 5000)
    writer.append(example.started("A"))
    assert writer.strange() == "x" * 200
    assert writer.events() == journal.read(tmp_path) == [OPENED, example.started("A")]
    writer.close()


@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_record_that_something_else_changes_is_not_believed(tmp_path: Path, how: str) -> None:
    writer = journal.Writer(tmp_path)
    for event in FOUR:
        writer.append(event)
    path = tmp_path / journal.NAME
    if how == "cut":
        os.truncate(path, 200)
    else:
        path.write_text(example.record(*FOUR[:3], example.started("C")), encoding="utf-8")
    with pytest.raises(CannotStart, match="was changed by something else"):
        writer.events()
    writer.close()


def test_a_chained_record_by_a_newer_version_is_not_called_damaged() -> None:
    newer = example.record(OPENED.model_copy(update={"format": 99})).encode()
    with pytest.raises(CannotStart, match=r"newer dgxcert \(format 99"):
        journal.read_content(newer, Path("x"))


def test_a_record_by_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    newer = OPENED.model_dump_json().replace(f'"format":{journal.FORMAT}', '"format":99')
    write(tmp_path, newer, TORN, end="")
    before = (tmp_path / journal.NAME).read_bytes()
    with pytest.raises(CannotStart, match="newer dgxcert"):
        journal.read(tmp_path)
    assert (tmp_path / journal.NAME).read_bytes() == before


@pytest.mark.parametrize("folder", ["nowhere", "file", "empty"])
def test_a_folder_that_is_no_run_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CannotStart, match=f"{folder} is not a run"):
        journal.read(tmp_path / folder)


@pytest.mark.parametrize("first", ["", TORN, "[]", example.started("A").model_dump_json()])
def test_a_record_without_its_opened_line_is_no_run(tmp_path: Path, first: str) -> None:
    with pytest.raises(CannotStart):
        journal.read(write(tmp_path, first, example.finished("A")))


def test_only_one_process_works_on_a_run(tmp_path: Path) -> None:
    first, second = journal.Writer(tmp_path), journal.Writer(tmp_path)
    first.claim()
    with pytest.raises(CannotStart, match="still being worked on"):
        second.claim()
    first.close()
    second.claim()
    second.close()


def test_a_full_disk_stops_the_run(tmp_path: Path) -> None:
    writer = journal.Writer(tmp_path)
    with disk.limit_file_size(100), pytest.raises(CannotStart, match="cannot be written: File too large"):
        writer.append(example.opened(example.planned("A")))
    writer.close()
    assert (tmp_path / journal.NAME).read_bytes() == b""


def test_the_line_that_says_why_a_run_ends_still_fits(tmp_path: Path) -> None:
    writer = journal.Writer(tmp_path)
    writer.append(example.opened(example.planned("A")))
    with disk.limit_file_size((tmp_path / journal.NAME).stat().st_size + 400):
        with pytest.raises(CannotStart):
            writer.append(example.finished("A", reason="x" * 1000))
        writer.append(journal.Interrupted(at=example.AT, by="a full disk", key="A"), last=True)
    writer.close()
    assert [event.event for event in journal.read(tmp_path)] == ["opened", "interrupted"]


def test_a_record_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / journal.NAME).symlink_to("other")
    with pytest.raises(CannotStart, match="cannot be written"):
        journal.Writer(tmp_path)


def test_a_record_that_was_removed_takes_no_line_and_is_still_known(tmp_path: Path) -> None:
    writer = journal.Writer(tmp_path)
    writer.append(example.opened(example.planned("A")))
    (tmp_path / journal.NAME).unlink()
    with pytest.raises(CannotStart, match="No such file"):
        writer.append(example.finished("A"))
    assert [event.event for event in writer.events()] == ["opened"]
    writer.close()


def test_a_disk_that_fills_within_a_line_stops_the_run_and_keeps_every_whole_line(tmp_path: Path) -> None:
    writer = journal.Writer(tmp_path)
    writer.append(OPENED)
    whole = (tmp_path / journal.NAME).read_bytes()
    with disk.limit_file_size(len(whole) + 20), pytest.raises(CannotStart, match="File too large"):
        writer.append(example.finished("A"))
    assert (tmp_path / journal.NAME).read_bytes() == whole
    writer.append(RESUMED)
    writer.close()
    assert journal.read(tmp_path) == [OPENED, RESUMED]


def test_a_full_file_system_keeps_every_whole_line_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    """A small file system in a mount namespace that ends with the process."""
    small = f"mount -t tmpfs -o size=64k none {tmp_path}"
    mounting = subprocess.run(["unshare", "-rm", "sh", "-c", small], capture_output=True, text=True)
    if mounting.returncode != 0:
        pytest.skip(f"no file system can be mounted here, so no real disk was filled: {mounting.stderr.strip()}")
    filled = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{small} && exec {sys.executable} -m suites.disk {tmp_path}"],
        capture_output=True,
        text=True,
        cwd=TESTS,
    )
    assert "No space left on device. kept True, went on True, more than ten lines True" in filled.stdout, filled.stderr


def test_a_record_of_format_4_is_read(tmp_path: Path) -> None:
    """It calls a child process an attempt, and its endings name neither child nor repeats."""
    lines = [
        OPENED.model_dump_json().replace(f'"format":{journal.FORMAT}', '"format":4'),
        '{"at":"2026-11-23T18:40:12.000Z","event":"attempt","stage":"native","number":2,"pid":7,"log":"logs/native-2.log"}',
        '{"at":"2026-11-23T18:40:13.000Z","event":"started","key":"A","stage":"native","attempt":2}',
        '{"at":"2026-11-23T18:40:14.000Z","event":"finished","key":"A","outcome":"inconclusive","duration_s":1.0}',
    ]
    (tmp_path / journal.NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
    _, child, started, finished = journal.read(tmp_path)
    assert isinstance(child, journal.ChildStarted)
    assert isinstance(started, journal.Started)
    assert isinstance(finished, journal.Finished)
    assert (child.number, started.child, finished.child, finished.repeats) == (2, 2, None, 0)
    state = RunState(journal.read(tmp_path))
    assert (state.children, state.in_flight, state.waits("A")) == (2, (), False)


def test_a_text_with_bytes_that_are_no_text_is_kept_as_escapes(tmp_path: Path) -> None:
    """A file name with other bytes than UTF-8, in the message of a check."""
    writer = journal.Writer(tmp_path)
    writer.append(OPENED)
    writer.append(example.finished("A", Outcome.FAILED, reason="caf\udce9 is missing"))
    writer.close()
    (_, ended) = journal.read(tmp_path)
    assert isinstance(ended, journal.Finished)
    assert (ended.outcome, ended.reason) == (Outcome.FAILED, "caf\\udce9 is missing")
