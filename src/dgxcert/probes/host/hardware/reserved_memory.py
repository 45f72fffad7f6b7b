"""Reserved memory: what the kernel, its command line and huge pages keep from programs, and for what.

MemTotal does not show all of it. Kexec HandOver (KHO) reserves memory at the start, by default on the kernel 7.0 of
DGX OS 7.6, and counts its pages in MemTotal and in CmaFree, but not in CmaTotal: 9.3 GiB on a GB10, in which nothing
can be pinned (NVIDIA/NV-Kernels#590, NVIDIA forum 383222).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from dgxcert.judgement.limit import Limit
from dgxcert.machine import gpu_memory_nodes
from dgxcert.machine.device import Device
from dgxcert.machine.gpu_memory_nodes import Held
from dgxcert.machine.identity import MemoryKind
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.probes.host.log import reading
from dgxcert.profiles.profile import Profile

CMDLINE = Path("/proc/cmdline")
CRASH_SIZE = Path("/sys/kernel/kexec_crash_size")
KIB_PER_GIB = 1024**2
BYTES_PER_GIB = 1024**3

BOOT_LINE = re.compile(r"\bMemory: (\d+)K/(\d+)K available \(.*?(\d+)K reserved")
"""mm/mm_init.c, mem_init_print_info: free, physical and reserved memory at the end of the kernel's start."""
KIB_PER_UNIT = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}
WITHHELD_SIZE = re.compile(r"(?:mem|memmap|reserve_mem)=(\d+)([KMGT])(?![^$#!@:,]*[!@])", re.IGNORECASE)
"""Parameters that keep memory from the kernel: Documentation/admin-guide/kernel-parameters.txt.

memmap=4G!16G makes persistent memory and memmap=4G@16G adds usable memory: neither counts."""
LEAST_WITHHELD_KIB = {"mem": 0, "memmap": 64 * 1024, "reserve_mem": 64 * 1024}
"""Smaller areas are those of ramoops, of tracing and of damaged pages, which healthy machines set aside."""

HANDOVER = (
    "Look for Kexec HandOver, which counts free pages beyond CmaTotal: grep Cma /proc/meminfo; cat /proc/cmdline",
    "Switch it off by NVIDIA's package of September 2026, which sets kho=off: "
    "sudo apt update && sudo apt install nvidia-spark-grub-kho; sudo reboot",
    "Set kho=off in GRUB_CMDLINE_LINUX_DEFAULT of /etc/default/grub where there is no such package, then: "
    "sudo update-grub; sudo reboot",
)
HUGE_PAGES = (
    "Read who reserved huge pages: grep Huge /proc/meminfo; grep -rs nr_hugepages /etc/sysctl.conf /etc/sysctl.d",
    "Give them back: sudo sysctl vm.nr_hugepages=0; then remove the setting from the file that the first step names.",
    "Take hugepages= off the kernel's command line if it is there (cat /proc/cmdline): sudo update-grub; sudo reboot",
)
CRASH_KERNEL = (
    "Read the size that is kept for a crash kernel: cat /sys/kernel/kexec_crash_size /proc/cmdline",
    "Take crashkernel= off the kernel's command line in /etc/default/grub and /etc/default/grub.d, then "
    "sudo update-grub; sudo reboot",
)
CONTIGUOUS = (
    "Read the size of the contiguous memory allocator: grep Cma /proc/meminfo; cat /proc/cmdline",
    "Take cma= and hugetlb_cma= off the kernel's command line in /etc/default/grub and /etc/default/grub.d, then "
    "sudo update-grub; sudo reboot",
)
WITHHELD = (
    "Read the kernel's command line: cat /proc/cmdline",
    "Take mem=, memmap= and reserve_mem= off it in /etc/default/grub and /etc/default/grub.d, then "
    "sudo update-grub; sudo reboot",
)
MORE = (
    "Compare the machine with what was bought: nvidia-smi -L; cat /sys/class/dmi/id/product_name",
    Trait.SPARK.only(
        "Look for a patched driver or kernel, which gives programs memory of the display: dkms status; modinfo nvidia"
    ),
    "Install the driver as it is shipped to certify the machine: sudo apt install --reinstall nvidia-driver-580-open; "
    "then sudo reboot. A patched one is no fault of the hardware, and nobody has tested it.",
)
"""Remedy of a machine with more memory than its type has."""
LARGE_SHARE = 0.02
"""Of memory: huge pages or a crash kernel of this size are the first cause to remedy."""


@dataclass(frozen=True)
class Reserved:
    """Sizes in GiB. `at_boot_gib` and `physical_gib` are None where the kernel's line about memory is not readable."""

    total_gib: float
    """MemTotal."""
    physical_gib: float | None = None
    at_boot_gib: float | None = None
    """What the kernel reserved at its start: page tables, crash kernel, Kexec HandOver, and the firmware's parts."""
    handover_gib: float = 0.0
    """Free pages that no registered CMA area has: those of Kexec HandOver."""
    huge_pages_gib: float = 0.0
    crash_kernel_gib: float = 0.0
    cma_gib: float = 0.0
    """The areas of the contiguous memory allocator: memory pinned for a GPU cannot lie in them."""
    withheld: tuple[str, ...] = ()
    """Parameters of the kernel's command line that keep memory from it."""

    @property
    def share(self) -> float:
        """Reserved memory as a share of all of it; the pages of Kexec HandOver count also without the kernel's log.

        >>> Reserved(121.7, physical_gib=127.6, at_boot_gib=15.3, huge_pages_gib=4.0).share
        0.1512...
        """
        by_kernel = max(self.at_boot_gib or 0.0, self.handover_gib + self.crash_kernel_gib)
        return (by_kernel + self.huge_pages_gib + self.cma_gib) / (self.physical_gib or self.total_gib)

    @property
    def handover_share(self) -> float:
        """What Kexec HandOver holds, as a share of all memory."""
        return self.handover_gib / self.total_gib

    @property
    def source(self) -> str:
        """Each part with its size."""
        at_boot = f"{self.at_boot_gib:.1f} GiB" if self.at_boot_gib is not None else "not readable"
        return (
            f"the kernel's log: {at_boot} at the start; /proc/meminfo: {self.handover_gib:.1f} GiB of Kexec HandOver, "
            f"{self.huge_pages_gib:.1f} GiB of huge pages, {self.cma_gib:.1f} GiB of CMA; "
            f"crash kernel: {self.crash_kernel_gib:.2f} GiB"
        )

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about the largest known part, else about what is known to reserve memory on a DGX Spark."""
        if self.withheld:
            return WITHHELD
        if self.handover_gib:
            return HANDOVER
        known = [
            (self.huge_pages_gib, HUGE_PAGES),
            (self.crash_kernel_gib, CRASH_KERNEL),
            (self.cma_gib, CONTIGUOUS),
        ]
        size_gib, steps = max(known, key=lambda each: each[0])
        return steps if size_gib > LARGE_SHARE * self.total_gib else HANDOVER


def read() -> Reserved:
    """What is reserved now. Raises Inconclusive where /proc/meminfo cannot be read."""
    try:
        meminfo = memory.MEMINFO.read_text(encoding="ascii")
    except OSError as error:
        raise Inconclusive(f"{memory.MEMINFO} cannot be read: {error.strerror}", "Run on Linux, with /proc.") from error
    return parse(meminfo, _text(CMDLINE), _boot_line(), _text(CRASH_SIZE), gpu_memory_nodes.read())


def parse(meminfo: str, cmdline: str, boot_line: str, crash_size: str, gpus: Held = memory.NOTHING) -> Reserved:
    """What is reserved, from four texts of which all but the first may be empty; `gpus` hold a part of MemTotal.

    >>> found = parse("MemTotal: 127598544 kB\\nMemAvailable: 1 kB\\nSwapTotal: 0 kB\\nSwapFree: 0 kB\\n"
    ...     "CmaTotal: 0 kB\\nCmaFree: 9750528 kB\\n", "ro quiet crashkernel=1G-:0M",
    ...     "Memory: 117722720K/133828484K available (25536K kernel code, 16079992K reserved, 0K cma-reserved)", "0")
    >>> round(found.handover_gib, 1), round(found.at_boot_gib, 1), round(found.share, 2)
    (9.3, 15.3, 0.12)
    """
    kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)(?: kB)?$", meminfo, re.MULTILINE)}
    huge_kib = max(kib.get("Hugetlb", 0), kib.get("HugePages_Total", 0) * kib.get("Hugepagesize", 0))
    line = BOOT_LINE.search(boot_line)
    return Reserved(
        total_gib=memory.parse(meminfo, gpus).total_gib,
        physical_gib=int(line.group(2)) / KIB_PER_GIB if line else None,
        at_boot_gib=int(line.group(3)) / KIB_PER_GIB if line else None,
        handover_gib=max(0, kib.get("CmaFree", 0) - kib.get("CmaTotal", 0)) / KIB_PER_GIB,
        huge_pages_gib=huge_kib / KIB_PER_GIB,
        crash_kernel_gib=int(crash_size) / BYTES_PER_GIB if crash_size.isdigit() else 0.0,
        cma_gib=kib.get("CmaTotal", 0) / KIB_PER_GIB,
        withheld=tuple(filter(_withholds, cmdline.split())),
    )


def _withholds(word: str) -> bool:
    """Whether a word of the command line keeps more memory from the kernel than small areas for its own logs.

    >>> [_withholds(word) for word in ("mem=96G", "memmap=1M$0x100000", "reserve_mem=2M:4096:trace", "mem=nopentium")]
    [True, False, False, False]
    """
    size = WITHHELD_SIZE.match(word)
    if size is None:
        return False
    kib = int(size.group(1)) * KIB_PER_UNIT[size.group(2).upper()]
    return kib >= LEAST_WITHHELD_KIB[word.partition("=")[0]]


def excess(total_gib: float, expected: Limit) -> tuple[str, ...]:
    """The remedy of more memory than a machine of this type has; none where it is not more.

    >>> excess(121.7, Limit(name="device.memory", min=118, max=123, unit="GiB", source="users' logs"))
    ()
    """
    return MORE if expected.max is not None and total_gib > expected.max else ()


def require_little(device: Device, profile: Profile) -> None:
    """Raise Inconclusive where work on this device shares memory of which more is reserved than the profile allows.

    Such memory counts in MemTotal and cannot be used: its size proves nothing.
    """
    if device.memory is not MemoryKind.UNIFIED:
        return
    reserved, most = read(), profile.limit("memory.reserved").max
    handed = profile.limit("memory.handover").max
    if most is None or handed is None:
        raise Inconclusive("limits memory.reserved and memory.handover need a `max`", "Complete them in the profile.")
    if reserved.share > most or reserved.handover_share > handed:
        raise Inconclusive(
            f"{100 * reserved.share:.0f} % of the memory is reserved ({reserved.source}): work cannot use all of it",
            *reserved.remedy,
            "See MEMORY-RESERVED: make validate ONLY=MEMORY-RESERVED",
        )


def _text(path: Path) -> str:
    """The stripped content; empty where it cannot be read, as in a container or on a kernel without the feature."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _boot_line() -> str:
    """The kernel's line about memory; empty where no log shows it."""
    for args in reading.COMMANDS:
        try:
            found = BOOT_LINE.search(reading.run(args))
        except Inconclusive:
            continue
        if found:
            return found.group()
    return ""
