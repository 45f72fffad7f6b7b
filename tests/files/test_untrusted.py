"""Files that somebody else may have made: each odd kind is refused by name, at once."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dgxcert.files.untrusted import UnfitError, parse_json, read_bytes, read_json, read_text


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    assert read_bytes(tmp_path / "a", at_most=4) == b"1234"


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "it is a folder"),
        (lambda path: os.mkfifo(path), "it is a FIFO"),
        (lambda path: path.symlink_to("/etc/passwd"), "it is a link"),
        (bind, "it is a socket"),
        (lambda path: path.write_bytes(b"12345"), "it has 5 bytes, and at most 4 are read"),
        (lambda path: path.write_bytes(b"\xff"), "it is not text in UTF-8"),
    ],
)
def test_an_odd_file_is_refused_by_what_it_is(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    make(tmp_path / "odd")
    with pytest.raises(UnfitError, match=reason):
        read_text(tmp_path / "odd", at_most=4)


def test_a_device_is_refused_also_through_a_link_that_the_user_typed(tmp_path: Path) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(UnfitError, match="it is a device"):
        read_bytes(tmp_path / "zero", at_most=4, follow=True)


def test_a_link_that_the_user_typed_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"1")
    (tmp_path / "typed").symlink_to("there")
    assert read_bytes(tmp_path / "typed", at_most=4, follow=True) == b"1"


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none", at_most=4)


def test_a_file_that_the_kernel_makes_up_has_a_limit_too() -> None:
    """Files of /proc have size 0 and grow while they are read."""
    with pytest.raises(UnfitError, match="more than the 4 bytes"):
        read_bytes(Path("/proc/meminfo"), at_most=4)


def test_a_file_below_a_folder_is_read_through_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "there" / "logs").mkdir(parents=True)
    (tmp_path / "there" / "logs" / "a").write_bytes(b"1")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "logs").symlink_to(tmp_path / "there" / "logs")
    assert read_bytes(tmp_path / "there" / "logs" / "a", at_most=4, below=tmp_path / "there") == b"1"
    with pytest.raises(UnfitError, match="logs is no folder"):
        read_bytes(tmp_path / "run" / "logs" / "a", at_most=4, below=tmp_path / "run")


def test_a_link_below_a_folder_is_refused_by_its_whole_path(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc/passwd")
    with pytest.raises(UnfitError, match=f"{tmp_path / 'a'}: it is a link"):
        read_bytes(tmp_path / "a", at_most=4, below=tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "NaN is no finite number"),
        ('{"a": [-Infinity]}', "-Infinity is no finite number"),
        ("1e400", "1e400 is no finite number"),
        ("9" * 5000, "9{40}… is no finite number"),
        ("[" * 100_000, "it is nested too deeply"),
        ("{", "Expecting"),
    ],
)
def test_json_that_no_float_or_stack_can_hold_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=reason):
        parse_json(text)
    with pytest.raises(UnfitError, match="it is not valid JSON"):
        read_json(tmp_path / "a.json", at_most=1_000_000)


def test_a_name_with_a_null_byte_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match="no name of a file"):
        read_bytes(tmp_path / "a\0b", at_most=4)
