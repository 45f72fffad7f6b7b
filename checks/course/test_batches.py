"""Course batches: a DataLoader returns every item once, in an order set by the seed, also with worker processes."""

from dgxcert import requirement
from dgxcert.probes.host import shared_memory
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.course import batches


@requirement(
    "COURSE-BATCHES",
    title="A DataLoader returns every item once, in the order of its seed",
    why="A fine-tuning that loses or repeats items, or whose order no seed fixes, cannot be repeated.",
    remedy=(
        'In `make shell`, run `python -c "from torch.utils.data import DataLoader as D; print([len(b) for b in '
        'D(range(10), 4)])"`: '
        "it must print [4, 4, 2].",
        "In `make shell`, run `python -m pip check` and `python -c 'import torch; print(torch.__file__)'` to find "
        "a package that "
        "replaces parts of torch.",
        *lockfile.RESTORE,
    ),
    takes_s=2,
    budget_s=180,
)
def test_every_item_is_returned_once_in_the_order_of_the_seed(evidence):
    epochs = batches.run()
    source = f"{batches.ITEMS} items in batches of {batches.BATCH}"
    shuffled = f"{source}, shuffled by a seed"
    sizes = evidence.record("sizes of batches", str(epochs.in_order.sizes), source=source)
    full = evidence.record("sizes with drop_last", str(epochs.full_batches.sizes), source=source)
    plain = evidence.record("items not returned once", epochs.in_order.miscounted, source=source)
    mixed = evidence.record("shuffled items not returned once", epochs.shuffled.miscounted, source=shuffled)
    seeded = evidence.record("the seed decides the order", epochs.follow_seed, source="one seed twice, another, none")
    assert sizes == str(batches.sizes())
    assert full == str(batches.sizes(drop_last=True))
    assert plain == 0
    assert mixed == 0
    assert seeded.holds()


@requirement(
    "COURSE-WORKERS",
    title="DataLoader workers return every item unchanged",
    why="With num_workers above 0, a Trainer's batches come from other processes through shared memory: too little of "
    "it in a container ends every training with a bus error.",
    remedy=(
        *shared_memory.SMALL,
        *shared_memory.FILES,
        "Set num_workers=0 in the DataLoader until then: it needs no shared memory, and is slower.",
    ),
    takes_s=1,
    budget_s=180,
)
def test_workers_return_every_item_unchanged(device, evidence):
    result = batches.run_workers(device)
    source = f"{batches.WORKERS} workers, batches of 4 MiB through shared memory to {device.name}"
    workers = evidence.record("worker processes", result.workers, source=f"{source}; without this process")
    sizes = evidence.record("sizes of batches", str(result.epoch.sizes), source=source)
    miscounted = evidence.record("items not returned once", result.epoch.miscounted, source=source)
    wrong = evidence.record("wrong values", result.wrong_values, source=source)
    images = evidence.record("images of an ordinary loader", batches.prefetched(), source=batches.ORDINARY)
    assert workers == batches.WORKERS
    assert sizes == str(batches.sizes())
    assert miscounted == 0
    assert wrong == 0
    assert images == batches.IMAGES * batches.IN_FLIGHT


@requirement(
    "SHARED-MEMORY",
    title="Shared memory and open files are enough for DataLoader workers",
    why="A Trainer with num_workers above 0 ends with a bus error or `No space left on device` where /dev/shm is full, "
    "or small as Docker's own 64 MB.",
    remedy=(*shared_memory.SMALL, *shared_memory.FILES),
)
def test_shared_memory_and_open_files_are_enough_for_workers(profile, evidence):
    shared, limit = shared_memory.read(), profile.limit("memory.shared")
    usable = evidence.record("free shared memory", shared.usable_mib, unit=limit.unit, source=shared.source)
    files = evidence.record("files that may be open", shared_memory.open_files(), unit="file", source="RLIMIT_NOFILE")
    evidence.advise(*shared.remedy(at_least_mib=limit.min or 0.0), *shared_memory.FILES)
    assert usable >= limit
    assert files >= profile.limit("files.open")
