"""Data sets: `datasets.map` uses several processes, and its cache the second time."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import dataset_cache


@requirement(
    "DATASETS-MAP",
    title="datasets.map runs in several processes and is cached",
    why="Every lab tokenises its data set with map: in one process, or without a cache, each start loses an hour.",
    remedy=(
        "Look at free space and permissions: df -h /tmp /dev/shm; ls -ld ~/.cache/huggingface",
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=3,
    budget_s=180,
)
def test_data_set_is_mapped_by_several_processes_and_cached(evidence):
    evidence.advise("Look at free space: df -h /tmp /dev/shm", *lockfile.advice())
    mapped = dataset_cache.run()
    source = f"datasets.map of {dataset_cache.ROWS} rows, num_proc={dataset_cache.PROCESSES}, in a new process"
    second = f"{source}, the second time"
    processes = evidence.record("processes", mapped.processes, source=source)
    wrong = evidence.record("wrong rows", mapped.wrong, source=source)
    calls = evidence.record("calls of the function", mapped.calls, source=source)
    calls_again = evidence.record("calls the second time", mapped.calls_again, source=second)
    fingerprint = evidence.record("same fingerprint", mapped.same_fingerprint, source=second)
    assert processes == dataset_cache.PROCESSES
    assert wrong == 0
    assert calls == dataset_cache.ROWS
    assert calls_again == 0
    assert fingerprint.holds()
