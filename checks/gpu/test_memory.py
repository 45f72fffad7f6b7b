"""GPU memory: as much as a machine of this type has, free for CUDA, and not withheld by a limit of this process."""

from dgxcert import requirement
from dgxcert.probes.gpu import device_memory
from dgxcert.probes.host import memory
from dgxcert.probes.host.hardware import reserved_memory


@requirement(
    "DEVICE-MEMORY",
    title="The device has the memory that the profile expects",
    why="Where memory is missing, a model that should fit fails to load, or the machine swaps.",
    remedy=(
        "Compare with the machine's data sheet: nvidia-smi --query-gpu=memory.total --format=csv; free -g",
        "Read MemTotal in /proc/meminfo on unified memory, where nvidia-smi prints [N/A]: that is normal.",
        "Look for reserved memory: make validate ONLY=MEMORY-RESERVED; then for a memory limit of the container.",
        "Open a hardware case if memory is still missing after a cold start.",
    ),
)
def test_the_device_has_the_memory_that_the_profile_expects(device, profile, evidence):
    found = device_memory.read(device)
    total = evidence.record(f"memory of {device.product}", found.total_gib, unit="GiB", source=found.source)
    evidence.advise(*reserved_memory.excess(found.total_gib, profile.limit("device.memory")))
    assert total.within(profile.limit("device.memory"))
    reserved_memory.require_little(device, profile)


@requirement(
    "PROCESS-MEMORY",
    title="No limit withholds the machine's memory from the process that does the work",
    why="A container, job or session with a small memory limit kills a notebook while it loads a model, on a machine "
    "with plenty of memory.",
    remedy=(
        "Find the limit: cat /proc/self/cgroup; ulimit -a",
        "Raise it where it is set: docker run --memory, MemoryMax= of a systemd unit, sbatch --mem, or ulimit -v.",
    ),
)
def test_no_limit_withholds_memory_from_the_process_that_does_the_work(profile, evidence):
    usable = memory.usable_at_most()
    evidence.advise(*usable.remedy)
    most = evidence.record("memory that this process may use", usable.gib, unit="GiB", source=usable.source)
    assert most >= profile.limit("memory.available")


@requirement(
    "GPU-MEMORY-FREE",
    title="CUDA reports the available memory as free",
    why="TGI and vLLM size their caches by what CUDA reports as free: with too little, models fail to load.",
    remedy=(
        "List the processes that hold memory, and stop them: "
        "nvidia-smi --query-compute-apps=pid,name,used_memory --format=csv",
        "Drop the page cache, used memory to CUDA on a Spark: sudo sh -c 'sync; echo 3 > /proc/sys/vm/drop_caches'",
        "Look for a child process that a stopped server left behind with its memory: ps -ef | grep -i engine",
    ),
    budget_s=120,
)
def test_cuda_offers_the_memory_that_is_there(gpu, profile, evidence):
    free = device_memory.free(gpu)
    available = evidence.record("available memory", free.available_gib, unit="GiB", source=free.source)
    evidence.record("memory that CUDA reports as free", free.cuda_gib, unit="GiB", source="cudaMemGetInfo")
    share = evidence.record("free by CUDA", free.cuda_gib / available.number, unit="of available", source=free.source)
    assert share >= profile.limit("memory.free")
