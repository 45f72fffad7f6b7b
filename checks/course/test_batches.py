"""Course batches: a DataLoader gives every item once, in an order that the seed decides, and its workers work."""

from dgxcert import requirement
from dgxcert.workloads.course import batches


@requirement(
    "COURSE-BATCHES",
    why="An item that is lost or seen twice, or an order that no seed fixes, makes a training that nobody can repeat.",
    remedy=(
        'Try it: python -c "from torch.utils.data import DataLoader as D; print([len(b) for b in D(range(10), 4)])" '
        "must print [4, 4, 2].",
        "Look for what replaces parts of torch: python -m pip check; python -c 'import torch; print(torch.__file__)'",
        "Install torch anew: make clean, then make setup; or use the container.",
    ),
    takes_s=4,
    budget_s=180,
)
def test_every_item_comes_once_and_in_the_order_of_the_seed(evidence):
    found = batches.order()
    source = f"{batches.ITEMS} items in batches of {batches.BATCH}"
    shuffled = f"{source}, shuffled by a seed"
    sizes = evidence.record("sizes of batches", str(found.plain.sizes), source=source)
    whole = evidence.record("sizes with drop_last", str(found.whole.sizes), source=source)
    plain = evidence.record("items that did not come once", found.plain.amiss, source=source)
    mixed = evidence.record("shuffled items that did not come once", found.shuffled.amiss, source=shuffled)
    seeded = evidence.record("the seed decides the order", found.shuffles, source="one seed twice, another, and none")
    assert sizes == str(batches.sizes())
    assert whole == str(batches.sizes(drop_last=True))
    assert plain == 0
    assert mixed == 0
    assert seeded.holds()


@requirement(
    "COURSE-WORKERS",
    why="With num_workers above zero, batches come from other processes by shared memory: too little of it in a "
    "container ends every training with a bus error.",
    remedy=(
        "Look: df -h /dev/shm; ulimit -n",
        "In a container: start it with --ipc=host, or with --shm-size=8g.",
        "For now: num_workers=0 in the DataLoader works without, and slower.",
    ),
    takes_s=1,
    budget_s=180,
)
def test_workers_make_the_batches_and_hand_them_over_whole(device, evidence):
    found = batches.work(device)
    source = f"{batches.WORKERS} workers, batches of 4 MiB through shared memory to {device.name}"
    others = evidence.record("processes that made items", found.others, source=f"{source}; without this one")
    sizes = evidence.record("sizes of batches", str(found.order.sizes), source=source)
    amiss = evidence.record("items that did not come once", found.order.amiss, source=source)
    wrong = evidence.record("wrong values", found.wrong, source=source)
    assert others == batches.WORKERS
    assert sizes == str(batches.sizes())
    assert amiss == 0
    assert wrong == 0
