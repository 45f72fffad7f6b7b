"""Base image: the guard's findings are read, and an output without a result is inconclusive."""

from pathlib import Path

import pytest
from completed import completed

from dgxcert.command import Completed
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import base_image, lockfile


def test_untouched_is_nothing_changed() -> None:
    done = completed("guard: torch 2.10 is untouched, no new conflict\n")
    assert base_image.parse(done) == "nothing"


def test_findings_of_the_guard_are_read() -> None:
    stderr = "guard: FAILED it does not fit:\nguard| numpy was 2.1\nguard| new conflict: a\n"
    assert base_image.parse(completed("", stderr, 1)) == "numpy was 2.1; new conflict: a"


@pytest.mark.parametrize("done", [completed(""), completed("", "Traceback", 1), completed("", "", None)])
def test_output_without_a_result_is_inconclusive(done: Completed) -> None:
    with pytest.raises(Inconclusive, match="reported no result"):
        base_image.parse(done)


def test_environment_without_a_base_image_is_inconclusive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lockfile, "IMAGE", tmp_path)
    with pytest.raises(Inconclusive, match="no base image"):
        base_image.read()
