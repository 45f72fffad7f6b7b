"""Batches: what a DataLoader returns of a data set, in one process and with workers that share memory with it."""

import contextlib
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host import shared_memory

if TYPE_CHECKING:
    import torch

ITEMS, BATCH = 103, 16
FP32 = 4
"""Bytes of a value."""
WORKERS = 2
WIDTH = 65536
"""Values of one item: batches of 4 MiB, which workers can only hand over through shared memory."""
TIMEOUT_S = 60

IMAGE = (3, 224, 224)
"""One item of an ordinary loader, in fp32: what torchvision's and transformers' image processors make by default."""
IMAGES, LOADERS, PREFETCH = 32, 4, 2
"""Batch size and workers of an ordinary loader, and DataLoader's own `prefetch_factor`."""
IN_FLIGHT = PREFETCH * LOADERS + 1
"""Batches that are in shared memory at once: those that workers may make ahead, and the one that is in use."""


ORDINARY = f"{LOADERS} workers x {PREFETCH} batches ahead and one in use, of {IMAGES} images of 224 x 224 in fp32"


class NumberedItems:
    """A map-style data set: item i is (i, a tensor of `width` values i, the id of the process that made it)."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, index: int) -> "tuple[int, torch.Tensor, int]":
        import torch

        if not 0 <= index < ITEMS:
            raise IndexError(index)
        return index, torch.full((self.width,), float(index)), os.getpid()


class Images:
    """A map-style data set of as many images as are in flight; item i is an image of values i."""

    def __len__(self) -> int:
        return IMAGES * IN_FLIGHT

    def __getitem__(self, index: int) -> "torch.Tensor":
        import torch

        return torch.full(IMAGE, float(index))


@dataclass(frozen=True)
class Epoch:
    """One pass over the data set: the sizes of its batches, and the indices of its items in the order of arrival.

    >>> Epoch(sizes=(2, 1), items=(0, 1, 1)).miscounted == ITEMS - 1
    True
    """

    sizes: tuple[int, ...]
    items: tuple[int, ...]

    @property
    def miscounted(self) -> int:
        """Items that were not returned exactly once, and unknown ones that were returned at all."""
        known = range(ITEMS)
        return sum(self.items.count(index) != int(index in known) for index in {*known, *self.items})


@dataclass(frozen=True)
class Epochs:
    """Passes in order, shuffled with one seed twice and with another one, and with `drop_last`."""

    in_order: Epoch
    shuffled: Epoch
    same_seed: Epoch
    other_seed: Epoch
    full_batches: Epoch

    @property
    def follow_seed(self) -> bool:
        """Whether the seed, and nothing else, decides the order."""
        orders = {self.in_order.items, self.shuffled.items, self.other_seed.items}
        return len(orders) == 3 and self.shuffled.items == self.same_seed.items


@dataclass(frozen=True)
class WorkerEpoch:
    """A pass with workers: what was returned, values that were wrong on the device, and the processes of the items."""

    epoch: Epoch
    wrong_values: int
    pids: frozenset[int]

    @property
    def workers(self) -> int:
        """Processes other than this one that made items."""
        return len(self.pids - {os.getpid()})


def sizes(drop_last: bool = False) -> tuple[int, ...]:
    """The sizes that batches must have: all full but the last.

    >>> sizes()
    (16, 16, 16, 16, 16, 16, 7)
    >>> sizes(drop_last=True)
    (16, 16, 16, 16, 16, 16)
    """
    full = (BATCH,) * (ITEMS // BATCH)
    return full if drop_last else (*full, ITEMS - BATCH * len(full))


def run() -> Epochs:
    """Iterate over the data set in this process, with every option of DataLoader that the course shows."""
    return Epochs(
        in_order=_iterate(_loader()),
        shuffled=_iterate(_loader(shuffle=True, generator=_seeded(1))),
        same_seed=_iterate(_loader(shuffle=True, generator=_seeded(1))),
        other_seed=_iterate(_loader(shuffle=True, generator=_seeded(2))),
        full_batches=_iterate(_loader(drop_last=True)),
    )


def run_workers(device: Device) -> WorkerEpoch:
    """Iterate over the data set with worker processes, and copy every batch to the device.

    Raises Wrong where a worker dies, Inconclusive where none returns a batch in time.
    """
    loader = _loader(
        width=WIDTH, num_workers=WORKERS, timeout=TIMEOUT_S, pin_memory=device.kind == "cuda", persistent_workers=False
    )
    wrong, pids, batches = 0, set(), []
    with _failures_named():
        for index, values, made_by in loader:
            on_device = values.to(device.name)
            wrong += int((on_device != index.to(device.name)[:, None]).sum())
            pids |= set(made_by.tolist())
            batches.append(index.tolist())
    return WorkerEpoch(_epoch(batches), wrong, frozenset(pids))


def prefetched() -> int:
    """Load images with as many batches in shared memory as an ordinary loader has; returns how many arrived right.

    Raises as `run_workers` does.
    """
    from torch.utils.data import DataLoader

    loader: Iterable[Any] = DataLoader(
        Images(), batch_size=IMAGES, num_workers=LOADERS, prefetch_factor=PREFETCH, timeout=TIMEOUT_S
    )
    with _failures_named():
        kept = list(loader)  # all of them are held, as by a training step that is slower than its workers
    ends = ((batch[0, 0, 0, 0].item(), batch[-1, -1, -1, -1].item()) for batch in kept)
    expected = ((number * IMAGES, number * IMAGES + IMAGES - 1) for number in range(IN_FLIGHT))
    return IMAGES * sum(found == wanted for found, wanted in zip(ends, expected, strict=True))


def needed_bytes() -> int:
    """Shared memory of the batches that an ordinary loader has in flight.

    >>> round(needed_bytes() / 2**20)
    165
    """
    return IN_FLIGHT * IMAGES * math.prod(IMAGE) * FP32


@contextlib.contextmanager
def _failures_named() -> Iterator[None]:
    """Raise Wrong where a worker dies or cannot hand over a batch, Inconclusive where none returns one in time."""
    try:
        yield
    except (RuntimeError, OSError) as error:  # torch tells a dead worker and a slow one apart only by the message
        if "DataLoader timed out" in str(error):
            raise Inconclusive(
                f"workers returned no batch within {TIMEOUT_S} s", "Run `top` to see what else uses the CPU."
            ) from error
        if "DataLoader" not in str(error) and not shared_memory.explains(str(error)):
            raise
        raise Wrong(f"DataLoader worker processes failed: {str(error).strip().splitlines()[-1]}") from error


def _loader(width: int = 1, **options: Any) -> Iterable[Any]:
    from torch.utils.data import DataLoader

    loader: Iterable[Any] = DataLoader(NumberedItems(width), batch_size=BATCH, **options)
    return loader


def _seeded(seed: int) -> "torch.Generator":
    import torch

    return torch.Generator("cpu").manual_seed(seed)


def _iterate(loader: Iterable[Any]) -> Epoch:
    return _epoch([index.tolist() for index, _, _ in loader])


def _epoch(batches: list[list[int]]) -> Epoch:
    return Epoch(tuple(len(batch) for batch in batches), tuple(index for batch in batches for index in batch))
