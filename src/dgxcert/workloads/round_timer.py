"""Timing: warm up until rounds are steady, time until their median is known, and notice what went on meanwhile.

A benchmark hands its work here. Rounds end up in pytest-benchmark's own statistics, which cannot themselves decide when
a median is known well enough.
"""

import contextlib
import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.rounds import Around, Rounds, Work, known_within
from dgxcert.machine.device import Device
from dgxcert.machine.trace import Trace
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import peak_memory
from dgxcert.probes.gpu.sampler import sampling
from dgxcert.probes.gpu.samples import Samples
from dgxcert.probes.host import processors
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Timing

WINDOW = 3
"""Rounds that are compared with as many before them, to see whether warming up is over."""
STEADY = 0.02
"""How far the medians of these two may differ."""
LEAST_OF_TIME = 0.25
"""Of the time for rounds: what is always taken, since a machine wanders more slowly than rounds follow each other."""

Each = Callable[[float], bool]
"""Takes the seconds of one round; says whether another is wanted."""


class Workload(Protocol):
    """One piece of timed work."""

    work: Work

    def rounds(self, each: Each) -> None:
        """Work round after round until `each`, told the seconds of every one, says that it is enough."""


def repeat(run: Callable[[], None], each: Each, before: Callable[[], None] | None = None) -> None:
    """Rounds of a function that returns when the device is done; `before` is called untimed."""
    going = True
    while going:
        if before is not None:
            before()
        began = time.perf_counter()
        run()
        going = each(time.perf_counter() - began)


def timed(benchmark: Any, workload: Workload, profile: Profile, evidence: Recorder) -> Rounds:
    """The rounds of a workload, timed; `benchmark` is pytest-benchmark's fixture.

    Raises Inconclusive where nothing was timed, and where the driver did not tell what the GPU did meanwhile.
    """
    device = workload.work.device
    with contextlib.ExitStack() as stack, _as_many_threads_as_processors(device):
        clockwork = Clockwork(device, profile.workloads.timing, stack)
        benchmark.pedantic(workload.rounds, args=(clockwork,))
    if benchmark.stats is None:
        raise Inconclusive(
            "the benchmark timed nothing",
            "Run without --benchmark-disable, --benchmark-skip and other options that switch timing off.",
        )
    found = clockwork.found()
    benchmark.stats.stats.data[:] = found.seconds
    if clockwork.trace is not None:
        evidence.watched(clockwork.trace)
    about = {"requirement": evidence.key, "amount": workload.work.amount, "device": device.kind}
    benchmark.extra_info.update(about | found.as_info)
    return found


class Clockwork:
    """Decides after each round whether that was still warming up, a round that counts, or the last of these."""

    def __init__(self, device: Device, sizes: Timing, stack: contextlib.ExitStack) -> None:
        self._device, self._sizes, self._stack = device, sizes, stack
        self._warming: list[float] = []
        self._seconds: list[float] = []
        self._steady = False
        self._began = time.monotonic()
        self._watch: Watch | None = None

    def __call__(self, seconds: float) -> bool:
        """Take one round; whether another is wanted."""
        if self._watch is None:
            if not self._warming:  # what comes before the end of the first round is compiling
                self._began = time.monotonic()
            self._warming.append(seconds)
            if self._is_warm():
                self._watch = self._stack.enter_context(Watch(self._device))
                self._began = time.monotonic()
            return True
        self._seconds.append(seconds)
        if not self._is_enough():
            return True
        self._stack.close()
        return False

    def _is_warm(self) -> bool:
        before, after = self._warming[-2 * WINDOW : -WINDOW], self._warming[-WINDOW:]
        if len(before) == WINDOW:
            self._steady = abs(statistics.median(after) / statistics.median(before) - 1) <= STEADY
        too_long = len(self._warming) > 1 and time.monotonic() - self._began > self._sizes.warm_up_s
        return self._steady or too_long

    def _is_enough(self) -> bool:
        spent_s = time.monotonic() - self._began
        if len(self._seconds) < self._sizes.least_rounds:
            return False
        known = known_within(self._seconds) <= self._sizes.within
        return spent_s > self._sizes.seconds or (known and spent_s > self._sizes.seconds * LEAST_OF_TIME)

    @property
    def trace(self) -> Trace | None:
        """What the GPU did during the rounds that count; None on a CPU."""
        return self._watch.trace if self._watch is not None else None

    def found(self) -> Rounds:
        """The rounds that count, and what went on around them."""
        if self._watch is None or not self._seconds:
            raise Inconclusive("the work ended before a round of it was timed")
        around = self._watch.around(len(self._warming), self._steady)
        return Rounds(tuple(self._seconds), self._watch.disturbance, around)


class Watch:
    """A context in which it is noticed what goes on: compilations, the GPU's state, the processors, memory."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._samples: Callable[[], Samples] | None = None
        self.disturbance: str | None = None

    def __enter__(self) -> "Watch":
        if self._device.kind == "cuda":
            self._sampling = sampling(self._device.index)
            self._samples = self._sampling.__enter__()
        peak_memory.reset(self._device)
        self._compiled, self._processors = compiled(), processors.read()
        return self

    def __exit__(self, *error: Any) -> None:
        self._compiled = compiled() - self._compiled
        self._others = processors.read().others_since(self._processors)
        self._peak = peak_memory.read(self._device)
        if self._samples is not None:  # before anything else is asked, which would be samples of an idle GPU
            self._sampling.__exit__(*error)
        self.disturbance = self._device.disturbance()

    @property
    def trace(self) -> Trace | None:
        """What was sampled, after the context has ended; None where nothing was."""
        return self._samples().trace(self._device.index) if self._samples is not None else None

    def around(self, warmed_up: int, steady: bool) -> Around:
        """What was noticed, after the context has ended."""
        around = Around(warmed_up, steady, self._compiled, self._others, self._peak)
        if self._samples is None:
            return around
        samples = self._samples()
        return dataclasses.replace(
            around,
            power_w=samples.median("power_w") if samples.has("power_w") else None,
            clock_mhz=samples.median("clock") if samples.has("clock") else None,
            hot=samples.hot if samples.has("event_reasons") else None,
        )


def compiled() -> int:
    """How many graphs torch has compiled in this process so far."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return int(dynamo.counters["stats"]["unique_graphs"]) if dynamo is not None else 0


@contextlib.contextmanager
def _as_many_threads_as_processors(device: Device) -> Iterator[None]:
    """On a CPU: a fixed number of threads, whatever was set before.

    They are not bound to processors: medians of processes scattered as much with OMP_PROC_BIND (6 % against 5 %), which
    would also tie every child of this process to one processor.
    """
    if device.kind != "cpu":
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
