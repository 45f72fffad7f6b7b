"""Sustained load: seconds of bf16 products, with the GPU sampled from outside; what is slow about it has causes."""

import time
from dataclasses import dataclass
from functools import cache

from dgxcert.judgement.limit import Bound
from dgxcert.machine.device import Device
from dgxcert.machine.driver_query import Answers
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.gpu.sampler import HERTZ, sampling
from dgxcert.probes.gpu.samples import CLOCK_SETTING, Samples
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Sustained
from dgxcert.workloads.hardware.matmul import Matmul

BUSY_PERCENT = 80
"""A GPU that is busy less than this was not loaded, whatever its clock says."""
LEAST_SAMPLES = 12
"""A short load is sampled faster."""
WARM_UP_S = 1.0
"""Until clocks have risen and libraries are loaded."""

POSSIBLE = {
    "clock": ("highest_clock", "MHz"),
    "link_width": ("link_width_max", "lane"),
    "link_generation": ("link_generation_max", "PCIe generation"),
}
"""Field of the samples: the driver's figure for the most that is possible, and its unit."""

STUCK = (
    "Let go of a clock lock first, which costs nothing: sudo nvidia-smi -rgc; then run this again.",
    "Still low: shut down, unplug the power supply from the wall and from the machine for a minute, start again. "
    "A reboot alone does not help.",
    "Use the supplied power supply on an outlet of its own, and update the firmware: sudo fwupdmgr update",
    "Still low: open a hardware case with this run folder.",
)
LOCKED = (
    "The clock stands still at one value: let go of the lock that somebody left: sudo nvidia-smi -rgc",
    "Look for what sets it again: systemctl list-units '*nvidia*'; crontab -l; nvidia-smi -q -d CLOCK",
    "No lock, and still low: shut down, unplug the power supply from the wall for a minute, start again.",
)
HOT = (
    "It slows down for heat: see GPU-THERMAL in the same run.",
    "Give it air: nothing on or behind the machine, filters clean, the room below 30 °C; then run this again.",
)
CAPPED = ("Power is capped: see GPU-POWER in the same run.",)


@dataclass(frozen=True)
class Load:
    """A GPU under load: its samples, and why they may say nothing."""

    samples: Samples
    disturbed: str | None
    possible: Answers
    """What the driver says is the most that card and slot can do."""

    def judged(self) -> "Load":
        """Itself; raises Inconclusive where the GPU was not busy or somebody else used it."""
        if self.disturbed:
            raise Inconclusive(self.disturbed, "End other work on this GPU, then run this again.")
        busy = self.samples.median("utilization")
        if busy < BUSY_PERCENT:
            raise Inconclusive(
                f"the GPU was busy {busy:.0f} % of the time under load, less than {BUSY_PERCENT} %: "
                "an idle GPU proves nothing",
                "See whether the CPU is busy with something else (top), then run this again.",
            )
        return self

    def highest(self, name: str) -> Bound | None:
        """The most that this GPU can do of a field; None where its driver has no figure, Inconclusive where it errs."""
        field, unit = POSSIBLE[name]
        value = self.possible.if_supported(field)
        return Bound(value=value, unit=unit, source="NVML: the most that card and slot can do") if value else None

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about a clock that is too low, by its cause."""
        if not self.samples.has("event_reasons"):
            return STUCK
        if self.samples.hot > 0:
            return HOT
        if self.samples.share(CLOCK_SETTING) > 0:
            return LOCKED
        if self.samples.power_capped > 0 or self.samples.braked > 0:
            return CAPPED
        low_power = self.samples.has("power_w") and self.samples.median("power_w") <= STUCK_W
        return LOCKED if self.samples.is_constant("clock") and not low_power else STUCK


STUCK_W = 25.0
"""Under load: units stuck in their low-power state draw 5.8-19.5 W, healthy ones 82-93 W."""


def measured(device: Device, profile: Profile) -> Load:
    """The load that a profile asks for, measured once per process; raises what `Load.judged` raises."""
    return sampled(device, profile).judged()


def sampled(device: Device, profile: Profile) -> Load:
    """The same without a judgement of how busy the GPU was."""
    found = _measure(device, profile.workloads.sustained, profile.peak("matmul.bf16"))
    if isinstance(found, Inconclusive):
        raise Inconclusive(found.problem, *found.remedy)
    return found


@cache
def _measure(device: Device, sizes: Sustained, peak: Bound) -> Load | Inconclusive:
    """The load, or why there is none: what failed once is not waited for again by the next requirement."""
    try:
        return _load(device, sizes, peak)
    except Inconclusive as error:
        return Inconclusive(error.problem, *error.remedy)  # without its traceback, which would hold the matrices


def _load(device: Device, sizes: Sustained, peak: Bound) -> Load:
    work = Matmul(device, "bf16", sizes.size, sizes.products, peak)
    keep_busy(work, WARM_UP_S if sizes.seconds > 2 * WARM_UP_S else 0.0)
    with sampling(device.index, max(HERTZ, LEAST_SAMPLES / sizes.seconds)) as samples:
        keep_busy(work, sizes.seconds)
    disturbed = device.sharing_problem()
    possible = nvml.ask(device.index, *(field for field, _ in POSSIBLE.values()))
    return Load(samples(), disturbed, possible)


def keep_busy(work: Matmul, seconds: float) -> int:
    """Multiply for so long, once at the least; returns how many rounds that were."""
    rounds, deadline = 0, time.monotonic() + seconds
    while rounds == 0 or time.monotonic() < deadline:
        work.run()
        rounds += 1
    return rounds
