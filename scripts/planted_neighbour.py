"""A pytest plugin that has a neighbour work in the middle of each benchmark's rounds, and only there.

DGXCERT_NEIGHBOUR says which: compute or draw. Rounds go on until a second after it has ended: nothing that looks before
or after them can see it.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgxcert.workloads import round_timer

PROGRAM = Path(__file__).with_name("gpu_neighbour.py")
WORKS_S = 2.0
BEFORE_S, AFTER_S = 1.0, 1.0
"""Seconds of undisturbed rounds around it."""
MOST_S = 60.0
CANNOT = 4
"""Exit code where the neighbour cannot work here, such as one that draws without EGL."""

_is_enough = round_timer.RoundTimer._is_enough


class Neighbour:
    """One process, prepared before the rounds of a benchmark begin."""

    def __init__(self) -> None:
        command = [sys.executable, str(PROGRAM), os.environ["DGXCERT_NEIGHBOUR"], str(WORKS_S)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None or self._process.stdout.readline() != "ready\n":
            pytest.exit("the neighbour cannot work here", CANNOT)
        self._started_s = self._ended_s = 0.0

    def is_over(self, elapsed_s: float) -> bool:
        """Whether it has worked and was followed by undisturbed rounds; starts it when its time has come."""
        now = time.monotonic()
        if not self._started_s and elapsed_s > BEFORE_S and self._process.stdin is not None:
            self._process.stdin.close()  # which ends the line that it waits for
            self._started_s = now
        if self._started_s and not self._ended_s and self._has_worked():
            self._ended_s = now
        return elapsed_s > MOST_S or bool(self._ended_s and now > self._ended_s + AFTER_S)

    def _has_worked(self) -> bool:
        """What it says in the end tells it: its processor time would count as ours once it is waited for."""
        said = self._process.stdout
        return said is not None and bool(select.select([said], [], [], 0)[0])

    def end(self) -> None:
        """Whatever happened."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


@pytest.fixture(autouse=True)
def neighbour(monkeypatch: pytest.MonkeyPatch) -> Iterator[Neighbour]:
    """A neighbour for each benchmark."""
    planted = Neighbour()

    def is_enough(timer: round_timer.RoundTimer) -> bool:
        over = planted.is_over(time.monotonic() - timer._phase_start)
        return over and _is_enough(timer)

    monkeypatch.setattr(round_timer.RoundTimer, "_is_enough", is_enough)
    yield planted
    planted.end()
