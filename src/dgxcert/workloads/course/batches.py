"""Batches: what a DataLoader makes of a data set, in one process and with workers that share memory with it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong

if TYPE_CHECKING:
    import torch

ITEMS, BATCH = 103, 16
WORKERS = 2
WIDTH = 65536
"""Values of one item: batches of 4 MiB, which workers can only hand over through shared memory."""
TIMEOUT_S = 60


class Squares:
    """A data set in the simplest form that torch takes: item i is (i, i times ones, the process that made it)."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, index: int) -> "tuple[int, torch.Tensor, int]":
        import torch

        if not 0 <= index < ITEMS:
            raise IndexError(index)
        return index, torch.full((self.width,), float(index)), os.getpid()


@dataclass(frozen=True)
class Order:
    """What came of one pass: the sizes of its batches and the items in the order in which they came."""

    sizes: tuple[int, ...]
    items: tuple[int, ...]

    @property
    def amiss(self) -> int:
        """Items that did not come exactly once."""
        return sum(self.items.count(index) != 1 for index in {*range(ITEMS), *self.items})


@dataclass(frozen=True)
class Batches:
    """Passes over the data: in order, shuffled twice by one seed and once by another, and without the short batch."""

    plain: Order
    shuffled: Order
    again: Order
    other: Order
    whole: Order

    @property
    def shuffles(self) -> bool:
        """Whether the seed, and nothing else, decides the order."""
        orders = {self.plain.items, self.shuffled.items, self.other.items}
        return len(orders) == 3 and self.shuffled.items == self.again.items


@dataclass(frozen=True)
class Worked:
    """A pass with workers: what came, how many values were wrong on the device, and who made the items."""

    order: Order
    wrong: int
    pids: frozenset[int]

    @property
    def others(self) -> int:
        """How many processes other than this one made items."""
        return len(self.pids - {os.getpid()})


def sizes(drop_last: bool = False) -> tuple[int, ...]:
    """The sizes that batches must have: all full but the last."""
    full = (BATCH,) * (ITEMS // BATCH)
    return full if drop_last else (*full, ITEMS - BATCH * len(full))


def order() -> Batches:
    """Go over the data in this process, in every way that the course shows."""
    return Batches(
        plain=_order(_loader()),
        shuffled=_order(_loader(shuffle=True, generator=_seeded(1))),
        again=_order(_loader(shuffle=True, generator=_seeded(1))),
        other=_order(_loader(shuffle=True, generator=_seeded(2))),
        whole=_order(_loader(drop_last=True)),
    )


def work(device: Device) -> Worked:
    """Go over the data with worker processes and put every batch on the device; raises Wrong where a worker dies.

    Raises Inconclusive where none answers in time.
    """
    loader = _loader(
        width=WIDTH, num_workers=WORKERS, timeout=TIMEOUT_S, pin_memory=device.kind == "cuda", persistent_workers=False
    )
    wrong, pids, batches = 0, set(), []
    try:
        for index, values, made_by in loader:
            placed = values.to(device.name)
            wrong += int((placed != index.to(device.name)[:, None]).sum())
            pids |= set(made_by.tolist())
            batches.append(index.tolist())
    except RuntimeError as error:
        if "DataLoader timed out" in str(error):
            raise Inconclusive(
                f"workers gave no batch within {TIMEOUT_S} s", "See what else works here: top"
            ) from error
        if "DataLoader" not in str(error):
            raise
        raise Wrong(f"worker processes did not work: {error}") from error
    return Worked(_as_order(batches), wrong, frozenset(pids))


def _loader(width: int = 1, **how: Any) -> Iterable[Any]:
    from torch.utils.data import DataLoader

    loader: Iterable[Any] = DataLoader(Squares(width), batch_size=BATCH, **how)
    return loader


def _seeded(seed: int) -> "torch.Generator":
    import torch

    return torch.Generator("cpu").manual_seed(seed)


def _order(loader: Iterable[Any]) -> Order:
    return _as_order([index.tolist() for index, _, _ in loader])


def _as_order(batches: list[list[int]]) -> Order:
    return Order(tuple(len(batch) for batch in batches), tuple(index for batch in batches for index in batch))
