"""Samples of a GPU under load: medians, extremes and shares of time, completed by the driver's counters."""

import json
import statistics
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from dgxcert.machine import driver_query, trace
from dgxcert.machine.neighbours import is_busy
from dgxcert.machine.trace import Point, Trace
from dgxcert.outcome import Inconclusive

# nvmlClocksEventReasons, nvml.h
CLOCK_SETTING, POWER_CAP, SLOWDOWN, SYNC_BOOST = 0x2, 0x4, 0x8, 0x10
THERMAL_SOFTWARE, THERMAL_HARDWARE, POWER_BRAKE = 0x20, 0x40, 0x80

CLOCK_STEP_MHZ = 15
"""NVIDIA's clocks move in steps of this size: a clock that varies by one step is constant."""
STANDING = 0.9
"""Share of the samples of a clock that stands still which are at its highest."""
MIN_SAMPLES = 5
"""Fewer samples cannot describe a load."""
MAX_GAP_S = 1.5
"""Between two samples. A healthy driver answers in milliseconds."""
TOO_SLOW = "the driver or the CPU was too slow"
SLOW = ("Find out what keeps the CPU busy: top", "Run this again with nothing else running.")


@dataclass(frozen=True)
class Samples:
    """The readings in order of time, each with its time `t` in seconds (monotonic) and the fields that this GPU has."""

    readings: tuple[dict[str, Any], ...]
    before: dict[str, float]
    after: dict[str, float]
    """The driver's counters in seconds, at the start and at the end of sampling."""
    elapsed_s: float
    """Seconds between these two readings of the counters."""
    cpu_s: float
    """CPU time of the sampling process."""
    refused: dict[str, dict[str, Any]] = field(default_factory=dict)
    """NVML's code and message by field that it refused."""
    began: float = 0.0
    """Unix time of the start of sampling."""

    @classmethod
    def parse(cls, text: str) -> "Samples":
        """The samples in the sampler's file: a line of counters, a line per sample, a line of counters.

        Raises Inconclusive for fewer than half of the samples at the requested rate, and for a gap between two of them,
        in which a slowdown would have gone unseen.

        >>> first = '{"at": 1.7e9, "hertz": 10, "refused": {}, "t": 5.0, "counters": {"power_cap": 1.5}}'
        >>> readings = [f'{{"t": {5 + number / 10}, "clock": {2411 - 15 * (number % 2)}}}' for number in range(5)]
        >>> last = '{"t": 5.4, "counters": {"power_cap": 1.5}, "cpu_s": 0.05}'
        >>> samples = Samples.parse("\\n".join([first, *readings, last]))
        >>> samples.source, samples.median("clock")
        ('NVML, 5 samples in 0.4 s', 2411.0)
        """
        lines = [json.loads(line) for line in text.splitlines()]
        counters = [line for line in lines if "counters" in line]
        readings = tuple(line for line in lines if "counters" not in line)
        if len(counters) != 2 or len(readings) < MIN_SAMPLES:
            raise Inconclusive(f"the GPU was sampled {len(readings)} times, too few to judge a load", *SLOW)
        first, last = counters
        elapsed_s = last["t"] - first["t"]
        times = [first["t"], *(reading["t"] for reading in readings), last["t"]]
        gap_s = max(later - earlier for earlier, later in pairwise(times))
        if len(readings) < elapsed_s * first["hertz"] / 2 or gap_s > MAX_GAP_S:
            raise Inconclusive(
                f"the GPU was sampled {len(readings)} times in {elapsed_s:.1f} s, wanted {first['hertz']:.0f} times a "
                f"second, and up to {gap_s:.1f} s passed between two samples: {TOO_SLOW}",
                *SLOW,
            )
        before, after = first["counters"], last["counters"]
        return cls(readings, before, after, elapsed_s, last["cpu_s"], first["refused"], first["at"])

    @property
    def source(self) -> str:
        """How the samples were taken, for evidence."""
        return f"NVML, {len(self.readings)} samples in {self.elapsed_s:.1f} s"

    @property
    def source_with_counters(self) -> str:
        """How a share of time was measured that also uses the driver's counters, for evidence."""
        return f"{self.source}, {'and its counters' if self.after else 'without counters, which this driver lacks'}"

    @property
    def cpu_share(self) -> float:
        """Share of one CPU core that sampling took, including its start."""
        return self.cpu_s / self.elapsed_s

    def values(self, name: str) -> list[float]:
        """Every reading of a field. Raises Inconclusive where this GPU's driver does not report it."""
        values = [float(reading[name]) for reading in self.readings if name in reading]
        if not values:
            raise self._refusal(f"the driver reports no {name.replace('_', ' ')} of this GPU: ", name)
        return values

    def _refusal(self, problem: str, name: str) -> Inconclusive:
        if name not in self.refused:
            return Inconclusive(f"{problem}no answer", "Run `nvidia-smi -q` under load and look for that figure.")
        return driver_query.refusal(problem, self.refused[name], 0)

    def has(self, name: str) -> bool:
        """Whether the driver reports a field."""
        return any(name in reading for reading in self.readings)

    def neighbours(self, index: int, ours: int = 1) -> str | None:
        """A description of the other processes that used the GPU at any time of the samples; None without any.

        As many compute processes as `ours` are the sampled workload itself: inside a container NVML gives the host's
        process ids, which cannot be told from it by their numbers, unless they were seen from outside
        (`sharing.watch`). A process that only draws is a neighbour once it keeps the GPU busy; a desktop at rest is
        none.

        Raises Inconclusive where the driver does not report compute processes.
        """
        looks = [reading for reading in self.readings if "compute_processes" in reading]
        if not looks:
            raise self._refusal(f"cannot tell whether GPU {index} was shared: ", "compute_processes")
        computing = sorted({pid for reading in looks for pid in reading["compute_processes"]})
        if len(computing) > ours or any(reading.get("foreign_processes") for reading in looks):
            return f"GPU {index} was shared: {len(computing)} compute processes ({computing})"
        shares = [reading["process_utilization"] for reading in looks if "process_utilization" in reading]
        percent = {
            pid: [int(share.get(pid, 0)) for share in shares] for pid in {pid for each in shares for pid in each}
        }
        others = [
            f"process {pid} used {max(used)}% of it at times"
            for pid, used in sorted(percent.items())
            if int(pid) not in computing and is_busy(statistics.fmean(used) / 100, max(used) / 100)
        ]
        return f"GPU {index} was shared: {', '.join(others)}" if others else None

    def median(self, name: str) -> float:
        """The median reading of a field."""
        return statistics.median(self.values(name))

    def highest(self, name: str) -> float:
        """The highest reading of a field."""
        return max(self.values(name))

    def trace(self, gpu: int) -> Trace:
        """The trace of the samples, for a plot. Its Unix times are counted from the start by the monotonic clock."""
        first = self.readings[0]["t"]
        return trace.downsample(gpu, [_point(self.began + reading["t"] - first, reading) for reading in self.readings])

    def is_constant(self, name: str) -> bool:
        """Whether a clock varied by no more than one step."""
        values = self.values(name)
        return max(values) - min(values) <= CLOCK_STEP_MHZ

    def stands(self, name: str, within: float) -> bool:
        """Whether a reading stands still: at least 90 % of its values are no further than this below the highest.

        The rest may be dips between two rounds of work, in which the GPU waited for the host.
        """
        values = self.values(name)
        return sum(max(values) - value <= within for value in values) >= STANDING * len(values)

    def steadiness(self, name: str) -> float:
        """Median of the last third divided by median of the first third: 1 is steady, less is a fall."""
        values = self.values(name)
        third = max(1, len(values) // 3)
        return statistics.median(values[-third:]) / statistics.median(values[:third])

    def share(self, reasons: int) -> float:
        """Share of the samples in which any of these event reasons was active."""
        active = [bool(int(value) & reasons) for value in self.values("event_reasons")]
        return sum(active) / len(active)

    def counted(self, *names: str) -> float:
        """Share of the elapsed time by which the largest of these counters grew; 0 where the driver has none of them.

        Raises Inconclusive where a counter was reported before the load only.
        """
        if missing := [name for name in names if name in self.before and name not in self.after]:
            raise Inconclusive(
                f"the driver reported its counter of {missing[0].replace('_', ' ')} before the load and not after it"
            )
        growth_s = [self.after[name] - self.before[name] for name in names if name in self.before]
        # Counters are updated about every 100 ms, so they can grow by a little more than the elapsed time.
        return min(1.0, max(growth_s, default=0.0) / self.elapsed_s)

    def earlier_s(self, *names: str) -> float:
        """Seconds that these counters held before the load, since the driver was loaded: the past, which is no fault.

        0 where the driver has none of them.
        """
        return round(sum(self.before.get(name, 0.0) for name in names), 3)

    @property
    def source_of_the_past(self) -> str:
        """Where `earlier_s` comes from, for evidence."""
        return f"NVML's counters before the load, {'since the driver was loaded' if self.before else 'which it lacks'}"

    @property
    def power_capped(self) -> float:
        """Share of the time with a software power cap, by samples or counters, whichever is larger."""
        return max(self.share(POWER_CAP), self.counted("power_cap"))

    @property
    def hot(self) -> float:
        """Share of the time with a thermal slowdown, by samples or counters, whichever is larger."""
        return max(
            self.share(THERMAL_SOFTWARE | THERMAL_HARDWARE), self.counted("thermal_software", "thermal_hardware")
        )

    @property
    def braked(self) -> float:
        """Share of the time with a power brake, by samples or counters, whichever is larger.

        A hardware slowdown without heat counts as one: nvml.h names the external power brake and a fast trigger on
        excessive power as its other causes.
        """
        reasons = [int(value) for value in self.values("event_reasons")]
        slowdown = sum(map(_is_power_slowdown, reasons)) / len(reasons)
        return max(slowdown, self.share(POWER_BRAKE), self.counted("power_brake"))


def _is_power_slowdown(reasons: int) -> bool:
    """Whether the hardware slowed the GPU down, and not for heat."""
    return bool(reasons & SLOWDOWN and not reasons & THERMAL_HARDWARE)


def _point(at: float, reading: dict[str, Any]) -> Point:
    has_reasons = "event_reasons" in reading
    reasons = int(reading["event_reasons"]) if has_reasons else 0
    return Point(
        t=at,
        clock_mhz=reading.get("clock"),
        power_w=reading.get("power_w"),
        temperature_c=reading.get("temperature"),
        hot=float(bool(reasons & (THERMAL_SOFTWARE | THERMAL_HARDWARE))) if has_reasons else None,
        held_back=float(_is_power_slowdown(reasons) or bool(reasons & (POWER_CAP | POWER_BRAKE)))
        if has_reasons
        else None,
    )
