"""Output that cannot be written costs neither the run nor its verdict."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from suites import driver, example

from dgxcert.cli import screen
from dgxcert.record import run as runs


@pytest.mark.parametrize("lost", ["closed pipe", "full disk"])
def test_a_closed_pipe_or_a_full_disk_costs_neither_run_nor_verdict(tmp_path: Path, lost: str) -> None:
    options = ["--profile", example.profile_file(tmp_path), "--results", tmp_path / "results", "--only", "FIRST"]
    arguments = [sys.executable, driver.__file__, driver.SUITES / "calm", "validate", *options]
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(arguments, stdout=full if lost == "full disk" else subprocess.PIPE)
        if process.stdout is not None:
            process.stdout.close()
        assert process.wait(timeout=120) == 0
    assert runs.load(driver.only_run(tmp_path / "results")).judgement.counts["passed"] == 1


class Broken(io.StringIO):
    """A file whose every write fails, as on a terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def fileno(self) -> int:
        raise OSError(9, "Bad file descriptor")


def test_a_write_that_fails_is_dropped() -> None:
    assert screen.Screen(Broken()).write("REJECTED") == len("REJECTED")


def test_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    line = "kept in results/[red] :x: " + "a" * 200
    screen.say(line)
    assert capsys.readouterr().out == line + "\n"
