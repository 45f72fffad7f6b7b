"""CPU clocks: how fast each core runs while it is busy, and which cores no program gets.

A core that is kept busy must leave its lowest level: on a GB10 the cores of one boot stayed at it, which costs 8-10 %
of decode, since the host launches every kernel. The cores differ by design: ten Cortex-X925 of 1378-4004 MHz and ten
Cortex-A725 of 338-2860 MHz (lscpu in ArmDeveloperEcosystem/arm-learning-paths), so each is compared with its own range.
A governor's name proves nothing: `powersave` is the fast one of intel_pstate, and the slowest of cppc_cpufreq.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
MOST_CORES = 20
"""Cores that are kept busy in turn; of more, evenly spaced ones."""
BUSY_S = 0.1
"""For so long, or until it is fast: a governor follows the load of a core with a half-life of 32 ms (PELT)."""
FAST = 0.9
KHZ_PER_MHZ = 1000
FAST_ENOUGH = 0.9
"""Cores that run and may run so fast need no remedy: processors that nr_cpus= hides do not even count as present."""

SLOW = (
    "Read clock, range and governor of each core: grep -s . /sys/devices/system/cpu/cpu*/cpufreq/scaling_*",
    "Choose the governor that follows the load, until the next start: "
    "sudo sh -c 'for core in /sys/devices/system/cpu/cpu*/cpufreq; do echo schedutil > $core/scaling_governor; done'",
    "Lift a lowered limit: sudo sh -c 'for core in /sys/devices/system/cpu/cpu*/cpufreq; "
    "do cat $core/cpuinfo_max_freq > $core/scaling_max_freq; done'",
    "Restart, and update kernel and firmware if cores stay slow: sudo apt update && sudo apt full-upgrade; "
    "sudo fwupdmgr update; sudo reboot",
)
MISSING = (
    "Compare the lists: grep . /sys/devices/system/cpu/present /sys/devices/system/cpu/online "
    "/sys/devices/system/cpu/isolated; cat /proc/cmdline",
    "Take maxcpus=, nr_cpus= and isolcpus= off the kernel's command line, then: sudo update-grub; sudo reboot",
    "Bring offline cores back until the next start: "
    "sudo sh -c 'for core in /sys/devices/system/cpu/cpu*/online; do echo 1 > $core; done'",
)


@dataclass(frozen=True)
class Core:
    """One core with frequency scaling: MHz while it is busy, its range, and the highest that is allowed."""

    index: int
    busy_mhz: float
    lowest_mhz: float
    highest_mhz: float
    allowed_mhz: float
    governor: str
    driver: str

    @property
    def share(self) -> float:
        """Busy clock as a share of the highest."""
        return self.busy_mhz / self.highest_mhz

    @property
    def allowed(self) -> float:
        """Highest allowed clock as a share of the highest possible."""
        return self.allowed_mhz / self.highest_mhz


@dataclass(frozen=True)
class CpuClocks:
    """The cores that were kept busy, and the processors that exist and are offline or isolated."""

    cores: tuple[Core, ...]
    present: int
    missing: tuple[int, ...]

    @property
    def slowest(self) -> float:
        """Lowest busy clock as a share of that core's highest; 1.0 where no core reports a clock, as in most VMs."""
        return min((core.share for core in self.cores), default=1.0)

    @property
    def allowed(self) -> float:
        """Lowest of the limits that were set, as a share of that core's highest clock; 1.0 where none reports one."""
        return min((core.allowed for core in self.cores), default=1.0)

    @property
    def missing_share(self) -> float:
        """Share of the processors that no program gets."""
        return len(self.missing) / max(1, self.present)

    @property
    def source(self) -> str:
        """The slowest core, for evidence.

        >>> CpuClocks((Core(3, 1378, 1378, 4004, 4004, "schedutil", "cppc_cpufreq"),), 20, ()).source
        'cpufreq of 1 cores kept busy in turn: core 3 runs at 1378 of 1378-4004 MHz (schedutil, cppc_cpufreq)'
        """
        if not self.cores:
            return "cpufreq: this machine reports no clocks of its processors"
        core = min(self.cores, key=lambda each: each.share)
        clocks = f"{core.busy_mhz:.0f} of {core.lowest_mhz:.0f}-{core.highest_mhz:.0f} MHz"
        how = f"{core.governor}, {core.driver}"
        return f"cpufreq of {len(self.cores)} cores kept busy in turn: core {core.index} runs at {clocks} ({how})"

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about missing processors, else about slow ones."""
        return MISSING if self.missing or self.slowest >= FAST_ENOUGH <= self.allowed else SLOW


def read() -> CpuClocks:
    """The clocks under work of this process, which takes two seconds at most."""
    found = [core for index in _chosen() if (core := _core(index)) is not None]
    present, online = cpu_list(_text(CPUS / "present")), cpu_list(_text(CPUS / "online"))
    # Without simultaneous multithreading the second threads of every core are offline, which is a choice.
    offline = set() if _text(CPUS / "smt/control") in ("off", "forceoff") else present - online if online else set()
    missing = offline | cpu_list(_text(CPUS / "isolated"))
    return CpuClocks(tuple(found), len(present), tuple(sorted(missing)))


def cpu_list(text: str) -> set[int]:
    """The numbers in a list of the kernel's.

    >>> sorted(cpu_list("0-2,7")), cpu_list("")
    ([0, 1, 2, 7], set())
    """
    spans = re.findall(r"(\d+)(?:-(\d+))?", text)
    return {number for first, last in spans for number in range(int(first), int(last or first) + 1)}


def _chosen() -> list[int]:
    indexes = sorted(int(path.parent.name.removeprefix("cpu")) for path in CPUS.glob("cpu[0-9]*/cpufreq"))
    step = -(-len(indexes) // MOST_CORES) or 1
    return indexes[::step]


def _core(index: int) -> Core | None:
    """The core, kept busy; None where this process may not run on it, or where its clocks are not reported."""
    folder = CPUS / f"cpu{index}/cpufreq"
    names = ("cpuinfo_min_freq", "cpuinfo_max_freq", "scaling_max_freq")
    lowest, highest, allowed = (_mhz(folder / name) for name in names)
    try:
        with pinned(index):
            busy = _busiest(folder / "scaling_cur_freq", highest)
    except OSError:
        return None
    if not busy or not highest:
        return None
    governor, driver = _text(folder / "scaling_governor"), _text(folder / "scaling_driver")
    return Core(index, busy, lowest, highest, allowed or highest, governor or "no governor", driver or "no driver")


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """This thread on one core during the body; raises OSError where that core is offline or not allowed."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _busiest(clock: Path, highest_mhz: float) -> float:
    """The highest reading while this thread spins."""
    until, fastest = time.monotonic() + BUSY_S, 0.0
    while time.monotonic() < until and fastest < FAST * highest_mhz:
        pause = time.monotonic() + BUSY_S / 20
        while time.monotonic() < pause:
            pass
        fastest = max(fastest, _mhz(clock))
    return fastest


def _mhz(path: Path) -> float:
    text = _text(path)
    return int(text) / KHZ_PER_MHZ if text.isdigit() else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
