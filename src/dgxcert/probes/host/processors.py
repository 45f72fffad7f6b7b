"""CPU usage of other processes, from /proc/stat: a benchmark on the CPU shares it with them."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from dgxcert.outcome import Inconclusive

STAT = Path("/proc/stat")
FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""Columns of the first line of /proc/stat, in clock ticks. `steal` is what a hypervisor's other guests used."""
IDLE = ("idle", "iowait")


@dataclass(frozen=True)
class Processors:
    """CPU seconds since the boot, over all CPUs: of all processes, and of this one. `at_s` is monotonic time."""

    at_s: float
    busy_s: float
    own_s: float
    count: int

    def others_since(self, before: "Processors") -> float:
        """Share of the CPU, 0 to 1, that other processes and a hypervisor's other guests used since `before`."""
        capacity_s = (self.at_s - before.at_s) * self.count
        others_s = (self.busy_s - before.busy_s) - (self.own_s - before.own_s)
        # Clamped: /proc/stat counts in ticks of 10 ms, so a short interval can end up below 0 or above 1.
        return min(1.0, max(0.0, others_s / capacity_s)) if capacity_s > 0 else 0.0


def read() -> Processors:
    """The CPU seconds so far; raises Inconclusive where /proc/stat cannot be read."""
    try:
        text = STAT.read_text(encoding="ascii")
    except OSError as error:
        raise Inconclusive(f"{STAT} cannot be read: {error.strerror}", "Run on Linux, with /proc mounted.") from error
    own = os.times()
    busy_s, count = parse(text, os.sysconf("SC_CLK_TCK"))
    return Processors(time.monotonic(), busy_s, own.user + own.system, count)


def parse(stat: str, ticks: int) -> tuple[float, int]:
    """Busy seconds of all CPUs and their number, from the text of /proc/stat; `ticks` is the number per second.

    Raises Inconclusive where the first line has other fields than proc(5) documents since Linux 2.6.11.

    >>> parse("cpu  4705 356 584 3699 23 23 0 0 0 0\\ncpu0 2352 178 292 1849 11 11 0 0 0 0\\n", ticks=100)
    (56.68, 1)
    """
    lines = stat.splitlines()
    words = lines[0].split() if lines else []
    if len(words) <= len(FIELDS) or words[0] != "cpu":
        raise Inconclusive(f"{STAT} does not begin with the times of all CPUs", f"Read the file: head -1 {STAT}")
    times = dict(zip(FIELDS, map(int, words[1:]), strict=False))
    busy = sum(value for name, value in times.items() if name not in IDLE)
    return busy / ticks, sum(line.startswith("cpu") and line[3:4].isdigit() for line in lines)
