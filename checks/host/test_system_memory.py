"""Memory of the host: enough of it is available, and it is not being swapped out."""

from dgxcert import requirement
from dgxcert.probes.host import memory


@requirement(
    "MEMORY-AVAILABLE",
    why="Models pass through the system's memory, and live in it where it is unified: what others hold is gone.",
    remedy=(
        "Look who holds it: ps aux --sort=-rss | head; a server whose main process is gone can leave children behind.",
        "End what is not needed, then run this again.",
        "Held by nobody who shows: restart the machine: sudo reboot",
    ),
    stage="host",
)
def test_enough_memory_is_available(profile, evidence):
    found = memory.read()
    available = evidence.record("MemAvailable", found.available_gib, unit="GiB", source="/proc/meminfo")
    assert available >= profile.limit("memory.available")


@requirement(
    "SWAP-UNUSED",
    why="A model that is swapped out answers so slowly that the machine seems to hang.",
    remedy=(
        "Look who was swapped out: free -g; ps aux --sort=-rss | head",
        "End what holds the memory, then take everything back in: sudo swapoff -a && sudo swapon -a",
        "For a machine that serves models: leave swap off (sudo swapoff -a).",
    ),
    stage="host",
)
def test_memory_is_not_swapped_out(profile, evidence):
    found = memory.read()
    evidence.record("swap", found.swap_gib, unit="GiB", source="/proc/meminfo")
    used = evidence.record("swap in use", found.swap_used_gib, unit="GiB", source="/proc/meminfo")
    assert used <= profile.limit("swap.used")
