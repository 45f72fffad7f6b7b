"""GPU memory: as much as a machine of this type has."""

from dgxcert import requirement
from dgxcert.probes.gpu import device_memory


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


@requirement(
    "GPU-MEMORY-FREE",
    why="Programs size their caches by what CUDA calls free: where that is too little, models fail to load.",
    remedy=(
        "Look who holds it: nvidia-smi --query-compute-apps=pid,name,used_memory --format=csv; end what nobody needs.",
        "Unified memory counts the page cache as used; free it: sudo sh -c 'sync; echo 3 > /proc/sys/vm/drop_caches'",
        "A server that was ended may leave a child behind that holds memory: ps -ef | grep -i engine",
    ),
    takes_s=2,
    budget_s=120,
)
def test_cuda_offers_the_memory_that_is_there(gpu, profile, evidence):
    found = device_memory.free(gpu)
    there = evidence.record("memory that is there", found.available_gib, unit="GiB", source=found.source)
    evidence.record("memory that CUDA calls free", found.cuda_gib, unit="GiB", source="cudaMemGetInfo")
    share = evidence.record("free by CUDA", found.cuda_gib / there.number, unit="of available", source=found.source)
    assert share >= profile.limit("memory.free")
