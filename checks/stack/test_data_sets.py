"""Data sets: `datasets` maps in more than one process, and from its cache the second time."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import dataset_cache


@requirement(
    "DATASETS-MAP",
    why="Every lab tokenises its data set by map: in one process, or without a cache, an hour is lost at each start.",
    remedy=(
        "Look for room and rights where it works: df -h /tmp /dev/shm; ls -ld ~/.cache/huggingface",
        "Install the stack as it is pinned: make clean setup; or use the container: make validate",
    ),
    tier="standard",
    takes_s=4,
    budget_s=180,
)
def test_a_data_set_is_mapped_by_several_processes_and_kept(evidence):
    evidence.advise("Look: df -h /tmp /dev/shm", *lockfile.advice("datasets"))
    found = dataset_cache.run()
    how = f"datasets.map of {dataset_cache.ROWS} rows, num_proc={dataset_cache.PROCESSES}, in a fresh process"
    processes = evidence.record("processes", found.processes, source=how)
    wrong = evidence.record("wrong rows", found.wrong, source=how)
    calls = evidence.record("calls of the function", found.calls, source=how)
    again = evidence.record("calls the second time", found.calls_again, source=f"{how}, once more")
    same = evidence.record("same fingerprint", found.same_fingerprint, source=f"{how}, once more")
    assert processes == dataset_cache.PROCESSES
    assert wrong == 0
    assert calls == dataset_cache.ROWS
    assert again == 0
    assert same.holds()
