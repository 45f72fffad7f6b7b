"""Small steps: what each rank computes when a small model is trained together, and the same on one device.

As transformers' Trainer and accelerate do: the loss of a rank is the sum over its tokens, divided by those of all ranks
and all accumulated backward passes, times the number of ranks, since DistributedDataParallel averages gradients over
ranks. The gradient is then that of the mean over all tokens, however they are spread over ranks.
"""

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.training import gradients, repeatability
from dgxcert.workloads.training.data_parallel import shards, small_model
from dgxcert.workloads.training.data_parallel.shards import Sizes
from dgxcert.workloads.training.gradients import Agreement

if TYPE_CHECKING:
    import torch

SEED = 41
LEARNING_RATE = 5.0
"""Of plain SGD, whose step is as wrong as its gradient: Adam's has the same size whatever a gradient is multiplied by.
So large that weights move by as much as they are, and a loss shows it."""


class Training:
    """The steps of one rank; `gradients` and `losses` hold what each of them computed."""

    def __init__(self, rank: Rank, sizes: Sizes) -> None:
        import torch

        self.rank, self.sizes = rank, sizes
        # Another seed on each rank: equal weights prove that DistributedDataParallel spread those of the first one.
        self.model = self.wrapped(small_model.build(rank.device, sizes, SEED + rank.index))
        self.trained = _trained(self.model.module)
        self.start = {name: values.detach().clone() for name, values in self.trained.items()}
        self.optimizer = torch.optim.SGD(self.trained.values(), lr=LEARNING_RATE)
        self.losses: list[float] = []
        self.gradients: list[dict[str, torch.Tensor]] = []
        self.data: list[str] = []

    def wrapped(self, model: Any) -> Any:
        """The model by DistributedDataParallel."""
        from torch.nn.parallel import DistributedDataParallel

        ids = [self.rank.device.index] if self.rank.device.kind == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids, find_unused_parameters=True)

    def rows(self, step: int, part: int) -> shards.Rows:
        """The rows of a backward pass."""
        return shards.rows(self.sizes, self.rank.index, step, part)

    def step(self, number: int) -> None:
        """One step of the optimizer: gradients are exchanged in the last of its backward passes only."""
        batches = [self.rows(number, part) for part in range(self.sizes.accumulated)]
        self.data += [shards.digest(batch) for batch in batches]
        scale = self.rank.size / self.tokens_of_all(sum(map(shards.targets, batches)))
        self.optimizer.zero_grad()
        total = 0.0
        for batch in batches:
            with contextlib.nullcontext() if batch is batches[-1] else self.model.no_sync():
                loss = small_model.loss(self.model, self.rank.device, batch, first=self.rank.index == 0)
                (loss * scale).backward()
            total += float(loss.detach())
        self.losses.append(total)
        self.gradients.append(gradients.kept(self.trained))
        self.optimizer.step()

    def tokens_of_all(self, tokens: int) -> int:
        """Tokens of all ranks."""
        import torch

        total = torch.tensor(tokens, device=self.rank.device.name)
        torch.distributed.all_reduce(total)
        return int(total)


def work(rank: Rank, settings: dict[str, Any], training: type[Training] = Training) -> dict[str, Any]:
    """What `comparison.of` reads: digests of rows, gradients and weights, losses; of the first rank the comparison."""
    sizes = Sizes(**settings)
    with numerics.exact_matmul():
        mine = training(rank, sizes)
        start = _digests(mine.start)
        for number in range(sizes.steps):
            mine.step(number)
        alone = _compared(mine, rank.size) if rank.index == 0 else {}
    return {
        "data": mine.data,
        "losses": mine.losses,
        "start": start,
        "gradients": {
            f"step {number + 1} {name}": digest
            for number, kept in enumerate(mine.gradients)
            for name, digest in _digests(kept).items()
        },
        "end": _digests(mine.trained),
        "unused": small_model.UNUSED in mine.gradients[-1],
        "alone": alone,
    }


def _compared(mine: Training, ranks: int) -> dict[str, Any]:
    """The first rank's gradients and update, compared with those of one device that trains on all rows."""
    device, sizes = mine.rank.device, mine.sizes
    losses, exact, update = alone(device, sizes, ranks)
    worst: Agreement | None = None
    for kept, wanted in zip(mine.gradients, exact, strict=True):
        found = gradients.compare({name: kept[name] for name in kept.keys() & wanted.keys()}, wanted)
        worst = found if worst is None else worst.worst(found)
    moved = {name: (values.detach() - mine.start[name]).cpu() for name, values in mine.trained.items()}
    agreement = gradients.compare({name: moved[name] for name in update}, update)
    return {"losses": losses, "gradients": asdict(worst or agreement), "update": asdict(agreement)}


def alone(
    device: Device, sizes: Sizes, ranks: int
) -> "tuple[list[list[float]], list[dict[str, torch.Tensor]], dict[str, torch.Tensor]]":
    """One device that trains on the rows of all ranks: losses by step and rank, gradients by step, and the update."""
    import torch

    model = small_model.build(device, sizes, SEED)
    trained = _trained(model)
    start = {name: values.detach().clone() for name, values in trained.items()}
    optimizer = torch.optim.SGD(trained.values(), lr=LEARNING_RATE)
    losses, kept = [], []
    for step in range(sizes.steps):
        optimizer.zero_grad()
        parts = range(sizes.accumulated)
        batches = [[shards.rows(sizes, rank, step, part) for part in parts] for rank in range(ranks)]
        sums = [
            sum(small_model.loss(model, device, batch, first=rank == 0) for batch in of_rank)
            for rank, of_rank in enumerate(batches)
        ]
        (sum(sums) / sum(shards.targets(batch) for of_rank in batches for batch in of_rank)).backward()
        losses.append([float(total.detach()) for total in sums])
        kept.append(gradients.kept(trained))
        optimizer.step()
    used = {name: values for name, values in trained.items() if name != small_model.UNUSED}
    return losses, kept, {name: (values.detach() - start[name]).cpu() for name, values in used.items()}


def _trained(model: Any) -> "dict[str, torch.Tensor]":
    return {name: values for name, values in model.named_parameters() if values.requires_grad}


def _digests(tensors: "dict[str, torch.Tensor]") -> dict[str, str]:
    """SHA-256 of each tensor."""
    return {name: repeatability.digest({name: values}) for name, values in tensors.items()}
