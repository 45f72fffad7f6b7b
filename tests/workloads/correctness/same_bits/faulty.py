"""SAME-BITS on ranks over gloo, each with planted faults: `work` works once with each fault of its rank.

The product has no switch for faults: they are planted here, in the process of the rank that has them.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest import mock

import torch

from dgxcert.machine.device import Device
from dgxcert.workloads.correctness.same_bits import computations, kind, ranks, training_step
from dgxcert.workloads.correctness.same_bits.computations import Product
from dgxcert.workloads.distributed.rank import Rank


def flip(values: torch.Tensor, place: tuple[int, ...], bit: int = 0) -> None:
    """Flip one bit of one value."""
    word = {2: torch.int16, 4: torch.int32}[values.itemsize]
    values.view(word)[place] ^= 1 << bit


PRODUCT: dict[str, Callable[[torch.Tensor], object]] = {
    "low bit": lambda result: flip(result, (17, 33)),
    "high bit": lambda result: flip(result, (17, 33), 13),
    "once": lambda result: flip(result, (17, 33), 13),
    "nan": lambda result: result[17, 33].fill_(float("nan")),
    "rows": lambda result: result[5:7].zero_(),
}
"""What happens to one product; `once`: only when it is computed again."""


def planted(fault: str) -> AbstractContextManager[object]:
    """A context in which this process has a fault."""
    if fault in PRODUCT:
        return mock.patch.object(Product, "_multiplied", _spoilt(fault, Product._multiplied))
    initial, drawn, every = training_step.initial, computations._drawn, computations.every
    if fault == "weight":
        return mock.patch.object(training_step, "initial", lambda sizes: _flipped(initial(sizes)))
    if fault == "seed":
        return mock.patch.object(computations, "_drawn", lambda *shape: drawn(*shape[:3], shape[3] + 100))
    if fault == "kind":
        return mock.patch.object(kind, "of", return_value="another CPU")
    if fault == "missing":
        return mock.patch.object(computations, "every", lambda name: _without_bf16(every(name)))
    assert not fault
    return nullcontext()


def _spoilt(fault: str, multiplied: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A product whose bf16 result of the first seed has a fault."""
    calls = 0

    def spoilt(product: Product, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        result = multiplied(product, left, right)
        if product.precision == "bf16" and product.seed == 1:
            calls += 1
            if fault != "once" or calls % 2 == 0:
                PRODUCT[fault](result)
        return result

    return spoilt


def _flipped(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    flip(weights["1.gate"], (3, 4))
    return weights


class _Absent:
    """A computation that this rank's device does not have."""

    def results(self, _: Device) -> Iterator[dict[str, torch.Tensor]]:
        return iter(())


def _without_bf16(every: Iterator[Any]) -> Iterator[Any]:
    for computation in every:
        yield _Absent() if getattr(computation, "precision", "") == "bf16" else computation


def work(rank: Rank, settings: dict[str, Any]) -> dict[str, Any]:
    """What `ranks.work` returns with each fault of this rank."""
    answers = []
    for fault in settings["faults"][rank.index]:
        with planted(fault):
            answers.append(ranks.work(rank, {}))
    return {"answers": answers}
