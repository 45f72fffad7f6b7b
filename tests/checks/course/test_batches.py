"""COURSE-BATCHES and COURSE-WORKERS: each comparison fails alone, and faults in torch's DataLoader are caught."""

import dataclasses
import os
import signal
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.probes.host import shared_memory
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.course import batches
from dgxcert.workloads.course.batches import Epoch, Epochs, WorkerEpoch

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns about is not tested here

CHECKS = check_file.load("course/test_batches")
BATCHES = CHECKS.test_every_item_is_returned_once_in_the_order_of_the_seed
WORKERS = CHECKS.test_workers_return_every_item_unchanged

ITEMS = tuple(range(batches.ITEMS))
IN_ORDER = Epoch(batches.sizes(), ITEMS)
SHUFFLED = Epoch(batches.sizes(), ITEMS[::-1])
OTHER = Epoch(batches.sizes(), (*ITEMS[50:], *ITEMS[:50]))
FULL = Epoch(batches.sizes(drop_last=True), ITEMS[:96])
ONE_BATCH = Epoch((103,), ITEMS)
REPEATED = (*ITEMS[:-1], 0)
"""The last item is missing, the first comes twice."""

RIGHT = Epochs(IN_ORDER, SHUFFLED, SHUFFLED, OTHER, FULL)
RIGHT_WORKERS = WorkerEpoch(IN_ORDER, 0, frozenset({1, 2}))


def test_healthy_batches_pass(monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder]) -> None:
    monkeypatch.setattr(batches, "run", lambda: RIGHT)
    passes(BATCHES)


def test_healthy_workers_pass(monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device) -> None:
    monkeypatch.setattr(batches, "run_workers", lambda device: RIGHT_WORKERS)
    monkeypatch.setattr(batches, "prefetched", lambda: 288)
    passes(WORKERS, cpu)


def test_an_image_that_did_not_arrive_fails(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    monkeypatch.setattr(batches, "run_workers", lambda device: RIGHT_WORKERS)
    monkeypatch.setattr(batches, "prefetched", lambda: 287)
    fails(WORKERS, cpu, by="images of an ordinary loader")


@pytest.mark.parametrize(
    ("free_mib", "files", "by"),
    [(166, 1024, None), (165, 1024, "free shared memory"), (166, 1023, "files that may be open")],
)
def test_too_little_shared_memory_and_too_few_files_fail(
    monkeypatch: pytest.MonkeyPatch,
    passes: Callable[..., Recorder],
    fails: Callable[..., Recorder],
    free_mib: float,
    files: int,
    by: str | None,
) -> None:
    monkeypatch.setattr(shared_memory, "read", lambda: shared_memory.SharedMemory(512.0, free_mib, "tmpfs"))
    monkeypatch.setattr(shared_memory, "open_files", lambda: files)
    profile = profiles.load("cpu")
    if by is None:
        passes(CHECKS.test_shared_memory_and_open_files_are_enough_for_workers, profile)
    else:
        fails(CHECKS.test_shared_memory_and_open_files_are_enough_for_workers, profile, by=by)


@pytest.mark.parametrize(
    "error",
    [
        "unable to allocate shared memory(shm) for file </torch_1_2_0>: No space left on device (28)",
        "Too many open files. Communication with the workers is no longer possible.",
        "received 0 items of ancdata",
    ],
)
@pytest.mark.usefixtures("torch")
def test_a_loader_without_room_or_files_fails(monkeypatch: pytest.MonkeyPatch, cpu: Device, error: str) -> None:
    def raise_it(self: object, index: int) -> object:
        raise RuntimeError(error)

    monkeypatch.setattr(batches.NumberedItems, "__getitem__", raise_it)
    with pytest.raises(Wrong, match="DataLoader worker processes failed"):
        WORKERS(cpu, Recorder())


@pytest.mark.usefixtures("torch")
def test_every_image_of_an_ordinary_loader_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "IMAGE", (3, 8, 8))
    assert batches.prefetched() == batches.IMAGES * batches.IN_FLIGHT


def test_the_limit_is_what_an_ordinary_loader_needs() -> None:
    for name in profiles.names():
        needed = profiles.load(name).limit("memory.shared").min or 0
        assert 0 <= needed * 2**20 - batches.needed_bytes() < 2**20


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"in_order": ONE_BATCH}, "sizes of batches"),
        ({"full_batches": IN_ORDER}, "sizes with drop_last"),
        ({"in_order": Epoch(batches.sizes(), REPEATED)}, "items not returned once"),
        (
            dict.fromkeys(("shuffled", "same_seed"), Epoch(batches.sizes(), REPEATED[::-1])),
            "shuffled items not returned once",
        ),
        ({"same_seed": OTHER}, "the seed decides the order"),
        ({"other_seed": SHUFFLED}, "the seed decides the order"),
        ({"shuffled": IN_ORDER, "same_seed": IN_ORDER}, "the seed decides the order"),
    ],
)
def test_each_comparison_of_batches_fails_alone(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], wrong: dict[str, Epoch], by: str
) -> None:
    monkeypatch.setattr(batches, "run", lambda: dataclasses.replace(RIGHT, **wrong))
    fails(BATCHES, by=by)


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"pids": frozenset({1})}, "worker processes"),
        ({"epoch": ONE_BATCH}, "sizes of batches"),
        ({"epoch": Epoch(batches.sizes(), REPEATED)}, "items not returned once"),
        ({"wrong_values": 1}, "wrong values"),
    ],
)
def test_each_comparison_of_workers_fails_alone(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, wrong: dict[str, Any], by: str
) -> None:
    monkeypatch.setattr(batches, "run_workers", lambda device: dataclasses.replace(RIGHT_WORKERS, **wrong))
    fails(WORKERS, cpu, by=by)


@pytest.mark.usefixtures("torch")
def test_torchs_batches_pass(passes: Callable[..., Recorder]) -> None:
    passes(BATCHES)


@pytest.mark.usefixtures("torch")
def test_torchs_workers_pass(passes: Callable[..., Recorder], cpu: Device) -> None:
    passes(WORKERS, cpu)


@pytest.mark.usefixtures("torch")
def test_a_lost_item_is_caught_with_and_without_workers(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    from torch.utils.data import BatchSampler

    original = BatchSampler.__iter__

    def without_last_item(self: Any) -> Any:
        return (batch[:-1] if len(batch) < batches.BATCH else batch for batch in original(self))

    monkeypatch.setattr(BatchSampler, "__iter__", without_last_item)
    fails(BATCHES, by="sizes of batches")
    fails(WORKERS, cpu, by="sizes of batches")


@pytest.mark.usefixtures("torch")
def test_a_repeated_item_is_caught(monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder]) -> None:
    from torch.utils.data import SequentialSampler

    original = SequentialSampler.__iter__
    monkeypatch.setattr(SequentialSampler, "__iter__", lambda self: (max(1, index) for index in original(self)))
    fails(BATCHES, by="items not returned once")


def test_an_order_that_ignores_the_seed_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], torch: ModuleType
) -> None:
    monkeypatch.setattr(batches, "_seeded", lambda seed: torch.Generator("cpu").manual_seed(torch.seed() % 2**31))
    fails(BATCHES, by="the seed decides the order")


@pytest.mark.usefixtures("torch")
def test_a_loader_without_workers_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    original = batches._loader
    monkeypatch.setattr(batches, "_loader", lambda width, num_workers, timeout, **options: original(width, **options))
    fails(WORKERS, cpu, by="worker processes")


@pytest.mark.usefixtures("torch")
def test_a_value_that_a_worker_changes_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    original = batches.NumberedItems.__getitem__

    def changed(self: Any, index: int) -> Any:
        number, values, pid = original(self, index)
        values[-1] += index == 77
        return number, values, pid

    monkeypatch.setattr(batches.NumberedItems, "__getitem__", changed)
    assert fails(WORKERS, cpu, by="wrong values").kept[-2].value == 1


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("number", [signal.SIGBUS, signal.SIGKILL])
def test_a_worker_that_dies_fails(monkeypatch: pytest.MonkeyPatch, cpu: Device, number: int) -> None:
    monkeypatch.setattr(batches.NumberedItems, "__getitem__", lambda self, index: os.kill(os.getpid(), number))
    with pytest.raises(Wrong, match="DataLoader worker"):
        WORKERS(cpu, Recorder())
