"""Batches: items are counted, only the seed may decide an order, and slow workers are told from dead ones."""

from collections.abc import Iterator
from typing import Any

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.course import batches
from dgxcert.workloads.course.batches import ITEMS, Epoch, Epochs

CPU = Device("cpu", 0, "CPU")
ORDER, OTHER, THIRD = (0, 1, 2), (2, 0, 1), (1, 2, 0)


@pytest.mark.parametrize(
    ("items", "miscounted"),
    [
        (range(ITEMS), 0),
        (range(ITEMS - 2), 2),
        ((*range(ITEMS), 3), 1),
        ((*range(ITEMS), ITEMS), 1),
    ],
)
def test_lost_and_repeated_items_are_counted(items: tuple[int, ...], miscounted: int) -> None:
    assert Epoch(sizes=(), items=tuple(items)).miscounted == miscounted


@pytest.mark.parametrize(
    ("orders", "follows"),
    [
        ((ORDER, OTHER, OTHER, THIRD), True),
        ((ORDER, OTHER, THIRD, THIRD), False),
        ((ORDER, OTHER, OTHER, OTHER), False),
        ((ORDER, ORDER, ORDER, OTHER), False),
    ],
)
def test_only_the_seed_decides_the_order(orders: tuple[tuple[int, ...], ...], follows: bool) -> None:
    epochs = [Epoch(sizes=(), items=order) for order in orders]
    assert Epochs(*epochs, full_batches=Epoch((), ())).follow_seed is follows


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("DataLoader timed out after 60 seconds", Inconclusive),
        ("DataLoader worker (pid 7) is killed by signal: Killed.", Wrong),
        ("CUDA error: an illegal memory access was encountered", RuntimeError),
    ],
)
def test_a_slow_worker_is_inconclusive_and_a_dead_one_wrong(
    monkeypatch: pytest.MonkeyPatch, message: str, outcome: type[Exception]
) -> None:
    def failing(**_: Any) -> Iterator[Any]:
        raise RuntimeError(message)
        yield

    monkeypatch.setattr(batches, "_loader", failing)
    with pytest.raises(outcome) as raised:
        batches.run_workers(CPU)
    assert type(raised.value) is outcome
