"""Processors: how busy others keep them, from /proc/stat; on a CPU they are what a benchmark shares with them."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from dgxcert.outcome import Inconclusive

STAT = Path("/proc/stat")
BUSY = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
IDLE = ("idle", "iowait")


@dataclass(frozen=True)
class Processors:
    """Seconds of all processors since the machine started, at one moment: in use by anybody, and by this process."""

    at_s: float
    busy_s: float
    mine_s: float
    count: int

    def others_since(self, before: "Processors") -> float:
        """Share of all processors that others used since then, a hypervisor's other guests included."""
        passed_s = (self.at_s - before.at_s) * self.count
        others_s = (self.busy_s - before.busy_s) - (self.mine_s - before.mine_s)
        return min(1.0, max(0.0, others_s / passed_s)) if passed_s > 0 else 0.0


def read() -> Processors:
    """The state at this moment; raises Inconclusive where /proc does not tell."""
    try:
        text = STAT.read_text(encoding="ascii")
    except OSError as error:
        raise Inconclusive(f"{STAT} cannot be read: {error.strerror}", "Run on Linux, with /proc mounted.") from error
    mine = os.times()
    busy_s, count = parse(text, os.sysconf("SC_CLK_TCK"))
    return Processors(time.monotonic(), busy_s, mine.user + mine.system, count)


def parse(stat: str, ticks: int) -> tuple[float, int]:
    """Busy seconds of all processors, and how many there are, of a /proc/stat text: `cpu  user nice system idle ...`.

    Raises Inconclusive where the first line is another (proc(5) has had these fields since Linux 2.6.11).
    """
    lines = stat.splitlines()
    words = lines[0].split() if lines else []
    if len(words) <= len(BUSY) or words[0] != "cpu":
        raise Inconclusive(f"{STAT} does not begin with the processors' times", f"Look at the file: head -1 {STAT}")
    times = dict(zip(BUSY, map(int, words[1:]), strict=False))
    busy = sum(value for name, value in times.items() if name not in IDLE)
    return busy / ticks, sum(line.startswith("cpu") and line[3:4].isdigit() for line in lines)
