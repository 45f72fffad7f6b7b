"""GPU memory: as much as a machine of this type has."""

from dgxcert import requirement
from dgxcert.probes import device_memory


@requirement(
    "DEVICE-MEMORY",
    why="A model that fits on paper fails to load, or swaps, where memory is missing.",
    remedy=(
        "Compare `nvidia-smi --query-gpu=memory.total --format=csv` and `free -g` with the machine's data sheet.",
        "On unified memory [N/A] from nvidia-smi is normal; what counts is MemTotal in /proc/meminfo.",
        "Part of it missing: look for reserved memory in `sudo dmesg` and for a memory limit of the container.",
        "Still missing after a cold start: open a hardware case.",
    ),
)
def test_the_device_has_the_memory_that_the_profile_expects(device, profile, evidence):
    found = device_memory.read(device)
    memory = evidence.record(f"memory of {device.product}", found.total_gib, unit="GiB", source=found.source)
    assert memory.within(profile.limit("device.memory"))
