"""System memory: enough is available, to this process too, little is reserved, and none is swapped out."""

from dgxcert import requirement
from dgxcert.probes.host import memory
from dgxcert.probes.host.hardware import reserved_memory

HELD = (
    "Find what holds it, also children of servers that have ended: ps aux --sort=-rss | head",
    "End what is not needed (kill PID), then run this again.",
    "Restart the machine if no process holds it: sudo reboot",
)


@requirement(
    "MEMORY-AVAILABLE",
    title="Enough system memory is available",
    why="A model loads through system memory, and stays in it where memory is unified: what others hold, or a control "
    "group withholds, is missing.",
    remedy=HELD,
    stage="host",
)
def test_enough_memory_is_available(profile, evidence):
    system, usable = memory.read(), memory.usable()
    evidence.advise(*usable.remedy, *HELD)
    available = evidence.record("MemAvailable", system.available_gib, unit="GiB", source=memory.source())
    allowed = evidence.record("memory that this process may take", usable.gib, unit="GiB", source=usable.source)
    assert available >= profile.limit("memory.available")
    assert allowed >= profile.limit("memory.available")


@requirement(
    "SWAP-UNUSED",
    title="Memory is not swapped out",
    why="A model that is swapped out answers so slowly that the machine seems to hang.",
    remedy=(
        "Find what was swapped out: free -g; ps aux --sort=-rss | head",
        "End what holds the memory (kill PID), then restart the machine, which empties swap: sudo reboot",
        "If it fills again, keep work within memory: free -g shows how much there is.",
    ),
    stage="host",
)
def test_memory_is_not_swapped_out(profile, evidence):
    system = memory.read()
    evidence.record("swap", system.swap_gib, unit="GiB", source="/proc/meminfo")
    used = evidence.record("swap in use", system.swap_used_gib, unit="GiB", source="/proc/meminfo")
    assert used <= profile.limit("swap.used")


@requirement(
    "MEMORY-RESERVED",
    title="Neither the kernel nor huge pages reserve memory that work could use",
    why="A model that fits the machine's memory on paper fails to load when a tenth of it was reserved at the start.",
    remedy=reserved_memory.HANDOVER,
    stage="host",
)
def test_little_memory_is_reserved(profile, evidence):
    reserved = reserved_memory.read()
    evidence.advise(*reserved.remedy)
    withheld = ", ".join(reserved.withheld) or "nothing"
    parameters = evidence.record("withheld by the command line", withheld, source=str(reserved_memory.CMDLINE))
    share = evidence.record("reserved memory", reserved.share, unit="of memory", source=reserved.source)
    handed = evidence.record(
        "held by Kexec HandOver", reserved.handover_share, unit="of memory", source="/proc/meminfo"
    )
    assert parameters == "nothing"
    assert share <= profile.limit("memory.reserved")
    assert handed <= profile.limit("memory.handover")
