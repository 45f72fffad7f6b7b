"""Sustained load: seconds of bf16 matmul with the GPU sampled meanwhile, and remedies by the cause of a low clock."""

import time
from dataclasses import dataclass, field, replace
from functools import cache

from dgxcert.judgement.limit import Bound, Limit
from dgxcert.judgement.spending import LEDGER, Spent
from dgxcert.machine.device import Device
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.gpu.sampler import HERTZ, sampling
from dgxcert.probes.gpu.samples import CLOCK_SETTING, Samples
from dgxcert.probes.host.hardware import sensors
from dgxcert.probes.host.hardware.sensors import Sensors
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Sustained
from dgxcert.workloads.hardware import clock_lock
from dgxcert.workloads.hardware.clock_lock import Rule, Standing
from dgxcert.workloads.hardware.matmul import Matmul

BUSY_PERCENT = 80
"""A GPU with a lower utilisation was not loaded, whatever its clock."""
LEAST_SAMPLES = 12
"""A short load is sampled at a higher rate to reach this number."""
WARM_UP_S = 1.0
"""Seconds until clocks have risen and libraries are loaded."""
LIGHTER_SHARE, COPIES = 0.2, 8
"""Lighter work takes this share of the load's seconds, and copies a matrix so many times before it waits."""

POSSIBLE = {
    "clock": ("highest_clock", "MHz"),
    "link_width": ("link_width_max", "lane"),
    "link_generation": ("link_generation_max", "PCIe generation"),
}
"""Sampled field: the driver's field for the highest possible value, and its unit."""

STUCK = (
    "Release a clock lock first, which costs nothing: sudo nvidia-smi -rgc; then run this again.",
    Trait.PHYSICAL.only(
        "Shut down, unplug the power supply from the wall and from the machine for a minute, start again. "
        "A reboot alone does not help."
    ),
    "Use the supplied power supply on an outlet of its own, and update the firmware: sudo fwupdmgr update",
    "Open a hardware case with this run folder if it is still low.",
)
LOCKED = (
    "Release the lock that holds the clock at one value: sudo nvidia-smi -rgc; then run this again.",
    "Reset the application clocks of a datacenter GPU, too: sudo nvidia-smi -rac; nvidia-smi -q -d CLOCK",
    clock_lock.RELEASE[1],
    Trait.PHYSICAL.only("Shut down, unplug the power supply for a minute and start again if it is still low unlocked."),
)
HOT = (
    "See GPU-THERMAL in the same run: the GPU slows down for heat.",
    "Give it air: clear the space around it, clean the filters, keep the room below 30 °C; then run this again.",
)
ALONE = ("End other work on this GPU, then run this again.",)
CAPPED = ("See GPU-POWER in the same run: its power is capped.",)
WRONG = (
    "Run this again: make validate ONLY=GPU-CLOCK-UNDER-LOAD. If results differ again, the GPU errs under load.",
    "Remove any overclocking, and let it cool: nvidia-smi -q -d CLOCK,POWER,TEMPERATURE",
    "Read what the driver recorded: nvidia-smi -q -d ECC,ROW_REMAPPER; sudo dmesg | grep -i xid",
    "Open a hardware case with this run folder if results still differ.",
)


@dataclass(frozen=True)
class Load:
    """A GPU under load: its samples, other processes on it, and the most that card and slot can do."""

    samples: Samples
    disturbed: str | None
    """Description of the other processes on the GPU, or why they could not be told."""
    possible: Answers
    """The driver's figures for the most that card and slot can do."""
    differing: int = 0
    """Values by which the last product of each round differs from that of the first round, in any bit."""
    rounds: int = 0
    standing: Standing | Inconclusive | None = None
    """Where the clock stands still without a reason, lower than a free one, or why this cannot be told; None if it is
    free."""
    unknown: tuple[str, ...] = ()
    """What to do where the driver did not tell whether others used the GPU."""
    board_before: Sensors = field(default_factory=Sensors)
    board: Sensors = field(default_factory=Sensors)
    """Fans and temperatures before the load and at its end."""

    def judged(self) -> "Load":
        """Itself; raises Inconclusive where the GPU was not busy, or other processes used it."""
        if self.disturbed:
            raise Inconclusive(self.disturbed, *(self.unknown or ALONE))
        busy = self.samples.median("utilization")
        if busy < BUSY_PERCENT:
            raise Inconclusive(
                f"the GPU was busy {busy:.0f} % of the time under load, less than {BUSY_PERCENT} %: "
                "an idle GPU proves nothing",
                "Check whether the CPU is busy with something else: top; then run this again.",
            )
        return self

    def highest(self, name: str) -> Bound | None:
        """The highest possible value of a field; None where the driver does not report it.

        Raises Inconclusive where the driver returns an error.
        """
        field, unit = POSSIBLE[name]
        value = self.possible.if_supported(field)
        return Bound(value=value, unit=unit, source="NVML: the most that card and slot can do") if value else None

    @property
    def heat(self) -> str:
        """The GPU's temperature during the load, for evidence."""
        return f"{self.samples.median('temperature'):.0f} °C" if self.samples.has("temperature") else "no temperature"

    def _is_hot(self, hot: Limit) -> bool:
        """Whether the GPU was hot for half of the load: a fan may start some seconds late."""
        return hot.max is not None and self.samples.has("temperature") and self.samples.median("temperature") > hot.max

    def stopped_fans(self, hot: Limit, earlier: str = "") -> int:
        """How many fans turned before the load and stand still at its end, with the GPU hotter than `hot`.

        `earlier` names the fans that turned when the run began: one may have stopped in the work before this load.
        """
        turned = f"{self.board_before.turning}, {earlier}"
        return self.board.stopped_since(turned) if self._is_hot(hot) else 0

    def standing_fans(self, hot: Limit) -> int:
        """How many fans the firmware lets stand, each of them, with the GPU hotter than `hot`."""
        return self.board.standing if self._is_hot(hot) else 0

    @property
    def clock_is_free(self) -> bool:
        """Whether no lock holds the clock. Raises Inconclusive where it stands so high that nothing tells."""
        if isinstance(self.standing, Inconclusive):
            raise Inconclusive(self.standing.problem, *self.standing.remedy)
        return self.standing is None or self.standing.is_free

    @property
    def clock_source(self) -> str:
        """What tells whether the clock is free, for evidence."""
        return (
            self.standing.source
            if isinstance(self.standing, Standing)
            else f"{self.samples.source}: it moves, is high, or has a reason"
        )

    @property
    def remedy(self) -> tuple[str, ...]:
        """Remedy of products that differ, or of a clock that is too low by its cause."""
        if self.differing:
            return WRONG
        low_power = self.samples.has("power_w") and self.samples.median("power_w") <= STUCK_W
        if isinstance(self.standing, Standing) and not low_power:
            return LOCKED
        if not self.samples.has("event_reasons"):
            return STUCK
        if self.samples.hot > 0:
            return HOT
        if self.samples.share(CLOCK_SETTING) > 0:
            return LOCKED
        if self.samples.power_capped > 0 or self.samples.braked > 0:
            return CAPPED
        return LOCKED if self.samples.is_constant("clock") and not low_power else STUCK


STUCK_W = 25.0
"""Power under load: a DGX Spark stuck in its low-power state draws 5.8-19.5 W, a healthy one 82-93 W."""


def measured(device: Device, profile: Profile) -> Load:
    """The load of a profile, measured once per process; raises what `Load.judged` raises."""
    return sampled(device, profile).judged()


def sampled(device: Device, profile: Profile) -> Load:
    """The load of a profile, measured once per process, whether or not the GPU was busy."""
    rule = Rule(profile.limit("clock.still"), profile.limit("clock.free"), profile.limit("clock.boost"))
    load = _measure(device, profile.workloads.sustained, profile.peak("matmul.bf16"), rule)
    if isinstance(load, Inconclusive):
        raise Inconclusive(load.problem, *load.remedy)
    return load


@cache
def _measure(device: Device, sizes: Sustained, peak: Bound, rule: Rule) -> Load | Inconclusive:
    """The load, or the reason why there is none, which is kept so that the next requirement does not wait again."""
    try:
        return _load(device, sizes, peak, rule)
    except Inconclusive as error:
        return Inconclusive(error.problem, *error.remedy)  # without its traceback, which would keep the matrices alive


def _load(device: Device, sizes: Sustained, peak: Bound, rule: Rule) -> Load:
    board = sensors.read()
    work = Matmul(device, "bf16", sizes.size, sizes.products, peak)
    keep_busy(work, WARM_UP_S if sizes.seconds > 2 * WARM_UP_S else 0.0)
    with sampling(device.index, max(HERTZ, LEAST_SAMPLES / sizes.seconds)) as samples:
        rounds = keep_busy(work, sizes.seconds)
    board_after = sensors.read()
    unknown: tuple[str, ...] = ()
    try:
        disturbed = device.other_processes() or samples().neighbours(device.index)
    except Inconclusive as error:
        disturbed, unknown = error.problem, error.remedy
    possible = nvml.ask(device.index, *(field for field, _ in POSSIBLE.values()), "boost_clock")
    load = Load(samples(), disturbed, possible, work.differing, rounds, None, unknown, board, board_after)
    return load if disturbed else replace(load, standing=_standing(load, device, sizes, rule))


def _standing(load: Load, device: Device, sizes: Sustained, rule: Rule) -> Standing | Inconclusive | None:
    """Where the clock stands, if it looks locked and does not rise under lighter work either."""
    if not load.samples.has("clock"):
        return None
    seconds, boost_mhz = LIGHTER_SHARE * sizes.seconds, load.possible.answered.get("boost_clock")
    try:
        standing = clock_lock.suspected(load.samples, rule, load.highest("clock"), boost_mhz)
        if standing is None:
            return None
        with sampling(device.index, max(HERTZ, LEAST_SAMPLES / seconds)) as lighter:
            keep_lightly_busy(device, sizes.size, seconds)
        return clock_lock.confirmed(standing, lighter(), rule)
    except Inconclusive as error:  # kept, so that what else the load shows is still judged
        return Inconclusive(error.problem, *error.remedy)


def keep_lightly_busy(device: Device, size: int, seconds: float) -> None:
    """Copy a (size, size) bf16 matrix for so many seconds: memory is the limit, and the tensor cores draw no power."""
    import torch

    source = torch.ones(size, size, device=device.name, dtype=torch.bfloat16)
    target, deadline = torch.empty_like(source), time.monotonic() + seconds
    while time.monotonic() < deadline:
        for _ in range(COPIES):
            target.copy_(source)
        device.wait()


@LEDGER.on(Spent.MEASURING)
def keep_busy(work: Matmul, seconds: float) -> int:
    """Multiply for so many seconds, one round at least, and compare each with the first; the number of rounds."""
    rounds, deadline = 0, time.monotonic() + seconds
    while rounds == 0 or time.monotonic() < deadline:
        work.run()
        work.compare_with_first()
        rounds += 1
    return rounds
