"""A child that prints or keeps without end is noticed, whatever it fills its folder with."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from dgxcert.runner import excess
from dgxcert.runner.excess import Excess


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(excess, "MOST_KEPT", 10**6)
    monkeypatch.setattr(excess, "MOST_PRINTED", 10**6)
    monkeypatch.setattr(excess, "EVERY_S", 0.0)
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[bytes]]:
    with (tmp_path / "log").open("wb") as file:
        yield file


def test_what_work_keeps_and_prints_is_no_excess(inside: Path, log: IO[bytes]) -> None:
    (inside / "kept").mkdir()
    (inside / "kept" / "burn-in.jsonl").write_bytes(b"x" * 100_000)
    os.write(log.fileno(), b"x" * 100_000)
    assert Excess(inside, log)() == ""


def test_printing_without_end_is(inside: Path, log: IO[bytes]) -> None:
    os.write(log.fileno(), b"x" * 1_000_001)
    assert "had printed more than" in Excess(inside, log)()


def test_keeping_without_end_is_large_or_many_and_deep(inside: Path, log: IO[bytes]) -> None:
    deep = inside / "a" / "b"
    deep.mkdir(parents=True)
    for number in range(300):
        (deep / f"{number}").touch()
    assert "as many files" in Excess(inside, log)()


def test_what_a_link_leads_to_is_not_counted(inside: Path, log: IO[bytes]) -> None:
    (inside.parent / "large").write_bytes(b"x" * 2_000_000)
    (inside / "away").symlink_to(inside.parent)
    assert Excess(inside, log)() == ""


def test_it_is_not_looked_all_the_time(inside: Path, log: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excess, "EVERY_S", 60.0)
    watched = Excess(inside, log)
    assert watched() == ""
    os.write(log.fileno(), b"x" * 1_000_001)
    assert watched() == ""


def test_a_folder_that_takes_long_to_look_through_is_looked_at_rarely(
    inside: Path, log: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def slow(_self: object, enough: int) -> int:
        looks.append(enough)
        time.sleep(0.05)
        return 0

    monkeypatch.setattr(excess.Folder, "size_bytes", slow)
    watch = Excess(inside, log)
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        watch()
        time.sleep(0.01)
    assert len(looks) == 1
