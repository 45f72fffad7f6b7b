"""System memory: enough of it is available, and none of it is swapped out."""

from dgxcert import requirement
from dgxcert.probes.host import memory


@requirement(
    "MEMORY-AVAILABLE",
    title="Enough system memory is available",
    why="A model loads through system memory, and stays in it where memory is unified: what others hold is missing.",
    remedy=(
        "Find what holds it, also children of servers that have ended: ps aux --sort=-rss | head",
        "End what is not needed (kill PID), then run this again.",
        "Restart the machine if no process holds it: sudo reboot",
    ),
    stage="host",
)
def test_enough_memory_is_available(profile, evidence):
    system = memory.read()
    available = evidence.record("MemAvailable", system.available_gib, unit="GiB", source="/proc/meminfo")
    assert available >= profile.limit("memory.available")


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
