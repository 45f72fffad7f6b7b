"""The clock of a simulated GPU, which goes on with the GPU's rounds alone, however busy the cores are that play it.

Cores with other work begin and end each round late, and the process that samples the GPU reads it late, too seldom and
in fits. So a load waits for each sample that is due by the GPU's clock, and a sample bears the time of that clock: what
is judged is the GPU that is described, and never the computer that plays it.
"""

import bisect
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dgxcert.probes.gpu import sampler
from dgxcert.probes.gpu.samples import Samples
from dgxcert.workloads.hardware import sustained
from dgxcert.workloads.hardware.together import load, turns

PAUSE_S = 0.2
"""After a longer pause between two rounds that nobody times or samples the GPU counts as idle in between."""
LOOK_S = 0.002
HELD = ".held"
"""The end of the name of a file that is there from the first sample of a load to the end of all that asks about it."""


@dataclass(frozen=True)
class Sampler:
    """A process that samples a GPU: whether it runs, the file of its samples, and how many it takes per second."""

    runs: Callable[[], bool]
    path: Path
    hertz: float

    @property
    def lines(self) -> int:
        """How many lines the file has: one more than samples."""
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0


class Clock:
    """The time of one GPU, in seconds, which begins with that of this computer."""

    def __init__(self, index: int) -> None:
        self._held = Path(f"{os.environ['SIMULATED_WORK']}.{index}{HELD}")
        self._timed = False
        self._sampler: Sampler | None = None
        self.begin(time.monotonic())

    def begin(self, now: float) -> None:
        """Begin a stretch of time at the moment `now` of this clock."""
        self.now = now
        self._course = [(time.monotonic(), now)]
        self._lines = self._sampler.lines if self._sampler else 0

    def time(self, now: float) -> None:
        """Begin a stretch whose rounds are timed by this clock, as all after it are."""
        self._timed = True
        self.begin(now)

    def follow(self, sampler: Sampler) -> None:
        """Let rounds wait for samples that are due, until `leave` or the end of the sampler."""
        self._sampler = sampler
        self._held.touch()
        self.begin(time.monotonic())

    def leave(self) -> None:
        """Let rounds wait for nobody: no samples are taken any more."""
        self._sampler = None

    def rest(self) -> None:
        """Let the driver say that the GPU has nothing to do, once its last round is old."""
        self._held.unlink(missing_ok=True)

    def advance(self, seconds: float) -> float | None:
        """Let a round take its time. Returns these seconds where nothing but this clock counts them."""
        now, alone = time.monotonic(), self._timed or self._sampler is not None
        self.now = (self.now if alone or now - self.now < PAUSE_S else now) + seconds
        time.sleep(max(0.0, self.now - now))
        if not alone:
            return None
        self._wait_for_samples()
        self._course.append((time.monotonic(), self.now))
        return seconds

    def _wait_for_samples(self) -> None:
        if self._sampler is None:
            return
        due = self._lines + int((self.now - self._course[0][1]) * self._sampler.hertz)
        while self._sampler.lines < due and self._sampler.runs():
            time.sleep(LOOK_S)

    def at(self, moment: float) -> float:
        """What this clock showed at a moment of the computer's, or at the nearest one of the stretch."""
        read, mine = zip(*self._course, strict=True)
        after = bisect.bisect(read, moment)
        if after in (0, len(read)):
            return float(mine[0] if after == 0 else mine[-1])
        share = (moment - read[after - 1]) / (read[after] - read[after - 1])
        return float(mine[after - 1] + share * (mine[after] - mine[after - 1]))

    def parse(self, text: str) -> Samples:
        """What `Samples.parse` makes of a sampler's file by this clock."""
        lines = [json.loads(line) for line in text.splitlines()]
        return Samples.parse("\n".join(json.dumps({**line, "t": self.at(line["t"])}) for line in lines))


_clocks: dict[int, Clock] = {}
_followed: list[Clock] = []
"""The clock of the GPU that is sampled."""


def of(index: int) -> Clock:
    """The clock of a GPU in this process."""
    if index not in _clocks:
        _clocks[index] = Clock(index)
    return _clocks[index]


def follow(index: int, hertz: float, path: Path, runs: Callable[[], bool]) -> None:
    """Let the rounds of a GPU wait for the samples that a process takes of it."""
    of(index).follow(Sampler(runs, path, hertz))
    _followed.append(of(index))


def play() -> None:
    """Have loads last, and samples be parsed, by the clock of the GPU; only for a process that judges."""
    by_its_clock: dict[Any, dict[str, Any]] = {
        sustained: {
            "time": SimpleNamespace(monotonic=_monotonic),
            "sampling": _left(sampler.sampling),
            "_load": _rested(sustained._load),
        },
        load: {"sampling": _left(sampler.sampling)},
        sampler: {"Samples": SimpleNamespace(parse=lambda text: _followed[-1].parse(text))},
    }
    for module, names in by_its_clock.items():
        vars(module).update(names)


def _monotonic() -> float:
    return _followed[-1].now if _followed else time.monotonic()


def _left(sampling: Any) -> Any:
    """As `sampling`; no round waits for a sample after it."""

    @contextlib.contextmanager
    def sampled(*given: Any) -> Iterator[Callable[[], Samples]]:
        try:
            with sampling(*given) as taken:
                yield taken
        finally:
            for clock in _followed:
                clock.leave()
            _followed.clear()

    return sampled


def _rested(measure: Any) -> Any:
    """As `sustained._load`, which asks who else is on the GPU after its samples; the GPU rests after it."""

    def measured(device: Any, *given: Any) -> Any:
        try:
            return measure(device, *given)
        finally:
            of(device.index).rest()

    return measured


TOGETHER = ".together"
"""The end of the name of a file that is there while a rank works with all others."""


def time_rank(index: int) -> None:
    """Have `turns` time this rank by its GPU's clock.

    All ranks begin when the first of them does, as on cores of their own, and none has ended before the last.
    """
    clock, timed, wait, at_once = of(index), turns._timed, turns.wait_for_all, turns.at_once
    told = Path(f"{os.environ['SIMULATED_WORK']}.{index}{TOGETHER}")

    def wait_for_all() -> None:
        wait()
        clock.time(_of_the_first(time.monotonic()))

    def from_there(*given: Any) -> Any:
        clock.time(clock.now)
        return timed(*given)

    def with_all(*given: Any) -> Any:
        told.touch()
        stretch = at_once(*given)
        wait()
        told.unlink()
        return stretch

    own_time = SimpleNamespace(monotonic=lambda: clock.now)
    vars(turns).update(_timed=from_there, wait_for_all=wait_for_all, at_once=with_all, time=own_time)


def _of_the_first(now: float) -> float:
    """The time of the first rank."""
    import torch

    time_s = torch.tensor([now], dtype=torch.float64)
    torch.distributed.broadcast(time_s, src=0)
    return float(time_s)
