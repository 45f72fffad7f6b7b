"""Round timer: warm up until rounds are steady, time until their median is known, and monitor the machine meanwhile.

A benchmark hands its workload to `time_rounds`. The rounds end up in pytest-benchmark's own statistics, which cannot
decide when a median is known well enough.
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
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.machine.device import Device
from dgxcert.machine.trace import Trace
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import peak_memory
from dgxcert.probes.gpu.sampler import sampling
from dgxcert.probes.gpu.samples import Samples
from dgxcert.probes.host import processors
from dgxcert.probes.host.processors import Processors
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Timing
from dgxcert.workloads.quiet import PATIENCE

WINDOW = 3
"""Rounds whose median is compared with that of as many rounds before them: the warm-up is over when the two agree."""
STEADY = 0.02
"""The largest difference between these two medians, as a share."""
LEAST_OF_TIME = 0.25
"""Share of the time for rounds that is always used: a machine drifts more slowly than rounds follow each other."""

STRETCH_S = 0.25
"""The shortest stretch in which the CPU use of others is looked at: the kernel counts in ticks of 10 ms."""

AddRound = Callable[[float], bool]
"""Takes the seconds of one round; returns whether another round is wanted."""


class HasWork(Protocol):
    """What knows the work of one of its rounds."""

    @property
    def work(self) -> Work:
        """The work of one round."""


class Workload(Protocol):
    """One piece of timed work."""

    work: Work

    def run_rounds(self, add_round: AddRound) -> None:
        """Run one round after another and hand the seconds of each to `add_round`, until that returns False."""


def repeat(run: Callable[[], None], add_round: AddRound, before: Callable[[], None] | None = None) -> None:
    """Rounds of a function that returns when the device is done; `before` is called before each and not timed."""
    wanted = True
    while wanted:
        if before is not None:
            before()
        start = time.perf_counter()
        run()
        wanted = add_round(time.perf_counter() - start)


def time_rounds(benchmark: Any, workload: Workload, profile: Profile, evidence: Recorder) -> Rounds:
    """The timed rounds of a workload; `benchmark` is pytest-benchmark's fixture.

    Raises Inconclusive where nothing was timed, and where the driver does not report the GPU's state meanwhile.
    """
    device = workload.work.device
    device.wait()
    PATIENCE.wait(device, evidence.say)
    timer = RoundTimer(device, profile.workloads.timing)
    try:
        with _one_thread_per_cpu(device), LEDGER.on(Spent.WARMING_UP):
            benchmark.pedantic(workload.run_rounds, args=(timer.add_round,))
    finally:
        timer.monitor.stop()  # it still runs where a round raises, and where the workload ends by itself
    rounds = keep_rounds(benchmark, timer.rounds, workload, evidence)
    if timer.monitor.trace is not None:
        evidence.keep_trace(timer.monitor.trace)
    return rounds


def keep_rounds(benchmark: Any, rounds: Callable[[], Rounds], workload: HasWork, evidence: Recorder) -> Rounds:
    """Put rounds into pytest-benchmark's statistics, in place of what it timed itself.

    Raises Inconclusive where its timing is switched off.
    """
    if benchmark.stats is None:
        raise Inconclusive(
            "the benchmark timed nothing",
            "Run without --benchmark-disable, --benchmark-skip and other options that switch timing off.",
        )
    timed, work = rounds(), workload.work
    benchmark.stats.stats.data[:] = timed.seconds
    info = {"requirement": evidence.key, "amount": work.amount, "device": work.device.kind}
    benchmark.extra_info.update(info | timed.as_info)
    return timed


class RoundTimer:
    """Sorts the rounds of a workload into those that warm up and those that count, and says which is the last one.

    The monitor starts when the warm-up is over and stops right after the last round that counts.
    """

    def __init__(self, device: Device, sizes: Timing) -> None:
        self.monitor = Monitor(device)
        self._sizes = sizes
        self._warm_up_s: list[float] = []
        self._timed_s: list[float] = []
        self._steady = False
        self._phase_start = time.monotonic()

    def add_round(self, seconds: float) -> bool:
        """Take the seconds of one round; returns whether another round is wanted."""
        return self.timed(seconds) if self.monitor.started else self.warm_up(seconds)

    def warm_up(self, seconds: float) -> bool:
        """Take a round that does not count; starts the monitor once rounds are steady, or time for them is over."""
        if not self._warm_up_s:  # whatever happens before the end of the first round is compilation
            self._phase_start = time.monotonic()
        self._warm_up_s.append(seconds)
        if self._is_warm():
            self.monitor.start()
            LEDGER.turn_to(Spent.MEASURING)
            self._phase_start = time.monotonic()  # after the monitor has started, which takes part of a second
        return True

    def timed(self, seconds: float) -> bool:
        """Take a round that counts; stops the monitor after the last one."""
        self._timed_s.append(seconds)
        self.monitor.look()
        if not self._is_enough():
            return True
        self.monitor.stop()  # now: whatever the workload does next, its last step or an idle GPU, does not belong to it
        return False

    def _is_warm(self) -> bool:
        before, after = self._warm_up_s[-2 * WINDOW : -WINDOW], self._warm_up_s[-WINDOW:]
        if len(before) == WINDOW:
            self._steady = abs(statistics.median(after) / statistics.median(before) - 1) <= STEADY
        too_long = len(self._warm_up_s) > 1 and time.monotonic() - self._phase_start > self._sizes.warm_up_s
        return self._steady or too_long

    def _is_enough(self) -> bool:
        elapsed_s = time.monotonic() - self._phase_start
        if len(self._timed_s) < self._sizes.least_rounds:
            return False
        known = known_within(self._timed_s) <= self._sizes.within
        return elapsed_s > self._sizes.seconds or (known and elapsed_s > self._sizes.seconds * LEAST_OF_TIME)

    def rounds(self) -> Rounds:
        """The rounds that count, and what the monitor saw; raises Inconclusive where there are none."""
        if not self._timed_s:
            raise Inconclusive("the work ended before a round of it was timed")
        around = self.monitor.around(len(self._warm_up_s), self._steady)
        return Rounds(tuple(self._timed_s), self.monitor.disturbance, around, self.monitor.unknown)


class Monitor:
    """What goes on while rounds are timed: GPU samples, compilations, CPU use of others, peak memory, other processes.

    It is started and stopped once; what it saw can be read after that.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._sampler = contextlib.ExitStack()
        self._samples: Callable[[], Samples] | None = None
        self._running = False
        self.started = False
        self.disturbance: str | None = None
        """Description of the other processes on the device; None where there were none."""
        self.unknown = ""
        """Why it is not known whether there were any."""
        self._busiest = 0.0

    def start(self) -> None:
        """Start the GPU sampler, and read the counters that are compared when it stops.

        Raises Inconclusive where the driver does not answer.
        """
        self.started = True
        with contextlib.ExitStack() as starting:  # which ends the sampler where a counter cannot be read
            if self._device.kind == "cuda":
                self._samples = starting.enter_context(sampling(self._device.index))
            peak_memory.reset(self._device)
            self._compiled, self._cpu = compiled_graphs(), processors.read()
            self._looked = self._cpu
            self._sampler = starting.pop_all()
        self._running = True

    def look(self) -> None:
        """Compare the CPU counters with those of the last look, between two rounds and at most every STRETCH_S.

        A neighbour of a second is lost in the share of all rounds, and still is what made some of them slow.
        """
        if self._running and time.monotonic() - self._looked.at_s >= STRETCH_S:
            self._see(processors.read())

    def _see(self, cpu: Processors) -> None:
        self._busiest = max(self._busiest, cpu.others_since(self._looked))
        self._looked = cpu

    def stop(self) -> None:
        """Stop the GPU sampler and read the counters again; does nothing where it is not running.

        Raises Inconclusive where the driver stopped answering.
        """
        if not self._running:
            return
        self._running = False
        try:
            self._compiled = compiled_graphs() - self._compiled
            cpu = processors.read()
            self._others = cpu.others_since(self._cpu)
            if cpu.at_s - self._looked.at_s >= STRETCH_S:
                self._see(cpu)
            self._peak_bytes = peak_memory.read(self._device)
        finally:
            # The sampler stops before the driver is asked for other processes, or its last samples are of an idle GPU.
            # It is told of the error of a round that raised, so that it does not hide that behind one of its own.
            self._sampler.__exit__(*sys.exc_info())
        self._look_for_others(sampled=self._samples is not None and sys.exc_info()[0] is None)

    def _look_for_others(self, *, sampled: bool) -> None:
        """Who else used the GPU: at the end of the rounds, and in the samples that were taken while they ran."""
        try:
            self.disturbance = self._device.other_processes()
            if sampled and self._samples is not None and self.disturbance is None:
                self.disturbance = self._samples().neighbours(self._device.index)
        except Inconclusive as unknown:
            self.unknown = unknown.problem

    @property
    def trace(self) -> Trace | None:
        """The samples over time; None where nothing was sampled."""
        return self._samples().trace(self._device.index) if self._samples is not None else None

    def around(self, warm_up_rounds: int, steady: bool) -> Around:
        """What it saw, as it is kept beside the rounds."""
        around = Around(warm_up_rounds, steady, self._compiled, self._others, self._peak_bytes, busiest=self._busiest)
        if self._samples is None:
            return around
        samples = self._samples()
        return dataclasses.replace(
            around,
            power_w=samples.median("power_w") if samples.has("power_w") else None,
            clock_mhz=samples.median("clock") if samples.has("clock") else None,
            hot=samples.hot if samples.has("event_reasons") else None,
            braked=samples.braked if samples.has("event_reasons") else None,
        )


def compiled_graphs() -> int:
    """How many graphs torch has compiled in this process so far."""
    dynamo = sys.modules.get("torch._dynamo.utils")  # not imported: where it is missing, nothing was compiled
    return int(dynamo.counters["stats"]["unique_graphs"]) if dynamo is not None else 0


@contextlib.contextmanager
def _one_thread_per_cpu(device: Device) -> Iterator[None]:
    """On a CPU: as many torch threads as CPUs, whatever was set before, which is restored."""
    if device.kind != "cpu":
        yield
        return
    import torch

    before = torch.get_num_threads()
    # Threads are not bound to CPUs: medians of processes scattered as much with OMP_PROC_BIND (6 % against 5 %), which
    # would also bind each child of this process to one CPU.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
