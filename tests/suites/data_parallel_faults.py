"""Faults of training together, planted on real ranks: `work` trains once for each of them.

The second rank has the fault, or all have it where it is one of all.
"""

import os
import time
from typing import Any

from dgxcert.workloads.distributed import phase
from dgxcert.workloads.training.data_parallel import shards, small_model, small_steps
from dgxcert.workloads.training.data_parallel.small_steps import Training

GUILTY = 1


class Guilty(Training):
    """Training of which one rank has a fault."""

    @property
    def has_it(self) -> bool:
        return self.rank.index == GUILTY


class IgnoresTheOthers(Guilty):
    """It takes part in the exchange of gradients and then keeps its own."""

    def wrapped(self, model: Any) -> Any:
        import torch

        wrapped = super().wrapped(model)

        def exchange(state: None, bucket: Any) -> Any:
            own = bucket.buffer().clone()
            bucket.buffer().div_(self.rank.size)
            exchanged = torch.distributed.all_reduce(bucket.buffer(), async_op=True).get_future()
            return exchanged.then(lambda future: own if self.has_it else future.value()[0])

        exchange.__annotations__.clear()  # torch takes its own types here or none
        wrapped.register_comm_hook(None, exchange)
        return wrapped


class Sums(Training):
    """Gradients are summed and not averaged."""

    def wrapped(self, model: Any) -> Any:
        import torch

        wrapped = super().wrapped(model)

        def exchange(state: None, bucket: Any) -> Any:
            exchanged = torch.distributed.all_reduce(bucket.buffer(), async_op=True).get_future()
            return exchanged.then(lambda future: future.value()[0])

        exchange.__annotations__.clear()  # torch takes its own types here or none
        wrapped.register_comm_hook(None, exchange)
        return wrapped


class StartsElsewhere(Guilty):
    """One weight is changed after the weights were spread."""

    def wrapped(self, model: Any) -> Any:
        import torch

        wrapped = super().wrapped(model)
        if self.has_it:
            with torch.no_grad():
                model.layers[0].q_proj.lora_A[0, 0] *= 1 + 2**-20
        return wrapped


class TakesRowsOfAnother(Guilty):
    """It trains on the rows of the first rank."""

    def rows(self, step: int, part: int) -> shards.Rows:
        return shards.rows(self.sizes, 0 if self.has_it else self.rank.index, step, part)


class SaysOtherRows(Guilty):
    """It trains on the rows of the first rank, and does not say so."""

    def step(self, number: int) -> None:
        said = len(self.data)
        super().step(number)
        parts = range(self.sizes.accumulated)
        self.data[said:] = [shards.digest(shards.rows(self.sizes, self.rank.index, number, part)) for part in parts]

    def rows(self, step: int, part: int) -> shards.Rows:
        return shards.rows(self.sizes, 0 if self.has_it else self.rank.index, step, part)


class NeverClears(Training):
    """Gradients of a step are added to those of the steps before."""

    def step(self, number: int) -> None:
        self.optimizer.zero_grad = lambda: None
        super().step(number)


class WeighsRanksAlike(Training):
    """The mean over ranks of their mean losses, however many tokens each has."""

    def tokens_of_all(self, tokens: int) -> int:
        super().tokens_of_all(tokens)
        return tokens * self.rank.size


class EndsElsewhere(Guilty):
    """The lowest bit of one weight flips after the last step."""

    def step(self, number: int) -> None:
        super().step(number)
        if self.has_it and number == self.sizes.steps - 1:
            import torch

            with torch.no_grad():
                self.model.module.layers[1].v_proj.lora_B.data.view(torch.int32)[0, 0] ^= 1


class StepsTwice(Training):
    """The optimizer takes its last step twice, on all ranks."""

    def step(self, number: int) -> None:
        super().step(number)
        if number == self.sizes.steps - 1:
            self.optimizer.step()


class UsesTheUnused(Guilty):
    """It has a gradient of the parameter that no rank uses."""

    def step(self, number: int) -> None:
        super().step(number)
        if self.has_it:
            self.gradients[-1][small_model.UNUSED] = self.gradients[-1][small_model.FIRST_ONLY].clone()


class Dies(Guilty):
    """It ends without a word in its second step."""

    def step(self, number: int) -> None:
        phase.enter(f"step {number + 1}")
        if self.has_it and number == 1:
            os._exit(3)
        super().step(number)


class NeverExchanges(Guilty):
    """In its second step it leaves the others waiting for its gradients."""

    def step(self, number: int) -> None:
        phase.enter(f"step {number + 1}")
        if self.has_it and number == 1:
            time.sleep(600)
        super().step(number)


FAULTS: dict[str, type[Training]] = {
    fault.__name__: fault
    for fault in (
        Training,
        IgnoresTheOthers,
        Sums,
        StartsElsewhere,
        TakesRowsOfAnother,
        SaysOtherRows,
        NeverClears,
        WeighsRanksAlike,
        EndsElsewhere,
        StepsTwice,
        UsesTheUnused,
    )
}
ENDINGS: dict[str, type[Training]] = {fault.__name__: fault for fault in (Dies, NeverExchanges)}


def work(rank: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """What `small_steps.work` returns with each of the faults that `settings` name."""
    sizes = settings["sizes"]
    known = FAULTS | ENDINGS
    return {name: small_steps.work(rank, sizes, known[name]) for name in settings["faults"]}
