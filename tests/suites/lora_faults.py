"""Faults of LoRA training together, planted on real ranks: `work` trains once with each of those that are named."""

import time
from typing import Any

from dgxcert.workloads.training.data_parallel import lora_steps
from dgxcert.workloads.training.data_parallel.lora_steps import LoraSteps

GUILTY = 1
SLOWER_S = 0.3


class SlowTogether(LoraSteps):
    """The second rank computes longer in each step together, and alone as fast as the other."""

    _together = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.model.get_base_model().model.layers[0].register_forward_pre_hook(lambda *_: self._compute())

    def _compute(self) -> None:
        if self.rank.index == GUILTY and self._together:
            time.sleep(SLOWER_S)

    def forward(self, model: Any, inputs: Any) -> Any:
        self._together = model is not self.model
        return super().forward(model, inputs)


class OtherRows(LoraSteps):
    """The second rank trains on the rows of the first one."""

    def inputs(self, shard: int, step: int) -> Any:
        return super().inputs(0 if self.rank.index == GUILTY else shard, step)


class OtherRate(LoraSteps):
    """The second rank takes longer steps than the other."""

    def reset(self) -> None:
        super().reset()
        if self.rank.index == GUILTY and self._optimizer is not None:
            self._optimizer.param_groups[0]["lr"] *= 1.01


KNOWN: dict[str, type[LoraSteps]] = {fault.__name__: fault for fault in (LoraSteps, SlowTogether, OtherRows, OtherRate)}


def work(rank: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """What `lora_steps.work` returns with each of the faults."""
    return {name: lora_steps.work(rank, settings["plan"], KNOWN[name]) for name in settings["faults"]}
