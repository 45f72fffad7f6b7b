"""Samples of a GPU at work: medians, extremes, shares of time, and what the driver's own counters add to them. Pure."""

import json
import statistics
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from dgxcert.machine import trace
from dgxcert.machine.trace import Point, Trace
from dgxcert.outcome import Inconclusive

# nvml.h, nvmlClocksEventReasons
CLOCK_SETTING, POWER_CAP, SLOWDOWN, THERMAL_SOFTWARE, THERMAL_HARDWARE, POWER_BRAKE = 0x2, 0x4, 0x8, 0x20, 0x40, 0x80

CLOCK_STEP_MHZ = 15
"""NVIDIA's clocks move in steps of this size: what moves by no more than one stands still."""
LEAST = 5
"""Fewer samples say nothing about a load."""
GAP_S = 1.5
"""A driver that answers in good time leaves no such hole between two samples."""
TOO_SLOW = "the driver or the processor was too slow"
SLOW = ("See what keeps the processors busy: top", "Run this again with nothing else running.")


@dataclass(frozen=True)
class Samples:
    """What was read, in order: each a time in seconds and the fields that this GPU has."""

    readings: tuple[dict[str, Any], ...]
    before: dict[str, float]
    after: dict[str, float]
    """The driver's counters in seconds, when sampling began and when it ended."""
    elapsed_s: float
    """Between these two."""
    cpu_s: float
    """Processor time that sampling itself took."""
    refused: dict[str, str] = field(default_factory=dict)
    """The driver's own words about the fields that it did not tell."""
    began: float = 0.0
    """When sampling began, in seconds since 1970, by the clock of the wall."""

    @classmethod
    def parse(cls, text: str) -> "Samples":
        """Read what the sampler wrote: counters, samples, counters.

        Raises Inconclusive for less than half of the samples that were asked for, and where they have a gap: what
        happened in between was not looked at.
        """
        lines = [json.loads(line) for line in text.splitlines()]
        counted = [line for line in lines if "counters" in line]
        readings = tuple(line for line in lines if "counters" not in line)
        if len(counted) != 2 or len(readings) < LEAST:
            raise Inconclusive(f"the GPU was sampled {len(readings)} times, too few to judge a load", *SLOW)
        first, last = counted
        elapsed_s = last["t"] - first["t"]
        times = [first["t"], *(reading["t"] for reading in readings), last["t"]]
        gap_s = max(after - before for before, after in pairwise(times))
        if len(readings) < elapsed_s * first["hertz"] / 2 or gap_s > GAP_S:
            raise Inconclusive(
                f"the GPU was sampled {len(readings)} times in {elapsed_s:.1f} s, wanted {first['hertz']:.0f} times a "
                f"second, and up to {gap_s:.1f} s passed between two samples: {TOO_SLOW}",
                *SLOW,
            )
        counters = first["counters"], last["counters"]
        return cls(readings, *counters, elapsed_s, last["cpu_s"], first["refused"], first["at"])

    @property
    def source(self) -> str:
        """How this was measured, for a record."""
        return f"NVML, {len(self.readings)} samples in {self.elapsed_s:.1f} s"

    @property
    def source_with_counters(self) -> str:
        """The same where the driver's counters were looked at too, or where it has none."""
        return f"{self.source}, {'and its counters' if self.after else 'without counters, which this driver has not'}"

    @property
    def cpu_share(self) -> float:
        """Share of one core that sampling took; its start is part of it."""
        return self.cpu_s / self.elapsed_s

    def values(self, name: str) -> list[float]:
        """Every reading of a field; raises Inconclusive where this GPU's driver has no such figure."""
        found = [float(reading[name]) for reading in self.readings if name in reading]
        if not found:
            raise Inconclusive(
                f"the driver tells no {name.replace('_', ' ')} of this GPU: {self.refused.get(name, 'no word')}",
                "Run `nvidia-smi -q` under load and look.",
            )
        return found

    def has(self, name: str) -> bool:
        """Whether the driver has such a figure."""
        return any(name in reading for reading in self.readings)

    def median(self, name: str) -> float:
        """The middle reading of a field."""
        return statistics.median(self.values(name))

    def highest(self, name: str) -> float:
        """The highest reading of a field."""
        return max(self.values(name))

    def trace(self, gpu: int) -> Trace:
        """What a plot shows of them; each sample's time is counted from the beginning by the clock that never jumps."""
        first = self.readings[0]["t"]
        return trace.downsample(gpu, [_point(self.began + reading["t"] - first, reading) for reading in self.readings])

    def is_constant(self, name: str) -> bool:
        """Whether a clock moved by no more than one step all the time."""
        found = self.values(name)
        return max(found) - min(found) <= CLOCK_STEP_MHZ

    def steadiness(self, name: str) -> float:
        """Median of the last third over median of the first third: 1 is steady, less has fallen."""
        found = self.values(name)
        third = max(1, len(found) // 3)
        return statistics.median(found[-third:]) / statistics.median(found[:third])

    def share(self, reasons: int) -> float:
        """Share of the samples in which any of these event reasons was active."""
        active = [bool(int(value) & reasons) for value in self.values("event_reasons")]
        return sum(active) / len(active)

    def counted(self, *names: str) -> float:
        """Share of the time by which the driver's counters grew, 1 at the most; 0 where it counts no such thing.

        Counters move in steps of about 100 ms, so that they can show a little more than the time that has passed.
        """
        if gone := [name for name in names if name in self.before and name not in self.after]:
            raise Inconclusive(f"the driver told its counter of {gone[0].replace('_', ' ')} before the load, not after")
        grown = [self.after[name] - self.before[name] for name in names if name in self.before]
        return min(1.0, max(grown, default=0.0) / self.elapsed_s)

    @property
    def power_capped(self) -> float:
        """Share of the time in which power was capped, by samples or counters, whichever saw more."""
        return max(self.share(POWER_CAP), self.counted("power_cap"))

    @property
    def hot(self) -> float:
        """Share of the time in which the GPU slowed itself down for heat."""
        return max(
            self.share(THERMAL_SOFTWARE | THERMAL_HARDWARE), self.counted("thermal_software", "thermal_hardware")
        )

    @property
    def braked(self) -> float:
        """Share of the time in which the machine's power supply held the GPU back.

        So it is where the hardware slows the GPU down and not for heat: nvml.h names the power brake and a fast trigger
        on too much power as the other causes.
        """
        reasons = [int(value) for value in self.values("event_reasons")]
        slowed = sum(map(_slowed, reasons)) / len(reasons)
        return max(slowed, self.share(POWER_BRAKE), self.counted("power_brake"))


def _slowed(reasons: int) -> bool:
    """Whether the hardware slowed down, and not for heat."""
    return bool(reasons & SLOWDOWN and not reasons & THERMAL_HARDWARE)


def _point(at: float, reading: dict[str, Any]) -> Point:
    told = "event_reasons" in reading
    reasons = int(reading["event_reasons"]) if told else 0
    return Point(
        t=at,
        clock_mhz=reading.get("clock"),
        power_w=reading.get("power_w"),
        temperature_c=reading.get("temperature"),
        hot=float(bool(reasons & (THERMAL_SOFTWARE | THERMAL_HARDWARE))) if told else None,
        held_back=float(_slowed(reasons) or bool(reasons & (POWER_CAP | POWER_BRAKE))) if told else None,
    )
