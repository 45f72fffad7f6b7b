"""LoRA steps of one rank: alone on its device while the others wait, then together by DistributedDataParallel.

Each step has as many rows on each rank as a step of one device alone, and rows of the same lengths: so the mean over
ranks is the mean over all tokens, and a step together is the same work for every device as a step alone.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.benchmark_cases import LARGE, TUNED, Case
from dgxcert.probes.gpu import peak_memory
from dgxcert.probes.host import processors
from dgxcert.workloads import round_timer
from dgxcert.workloads.distributed import phase
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.hardware.together import neighbours
from dgxcert.workloads.models import architectures
from dgxcert.workloads.training import gradients, lora_batches, lora_setup, packed_attention, repeatability
from dgxcert.workloads.training.data_parallel.noted import Noted, OneDevice, Plan, Steps
from dgxcert.workloads.training.lora_training import MAX_GRAD_NORM

if TYPE_CHECKING:
    import torch

MOST_COMPILERS = 8
"""Processes that compile for one rank: torch starts up to 32, with which many ranks would starve each other."""


class LoraSteps:
    """The training of one rank."""

    def __init__(self, rank: Rank, plan: Plan) -> None:
        import torch

        self.rank, self.plan = rank, plan
        self.setup = lora_setup.causal(rank.device, plan.model, Case(plan.precision, TUNED, LARGE))
        self.model = self.setup.build()
        self.trained = {name: values for name, values in self.model.named_parameters() if values.requires_grad}
        self._start = {name: values.detach().clone() for name, values in self.trained.items()}
        self._optimizer: torch.optim.Optimizer | None = None
        vocabulary, count = architectures.find(plan.model.model).vocabulary, lora_batches.BATCHES * rank.size
        batches = lora_batches.prose(plan.model.batch, plan.model.length, vocabulary, count)
        self.shards = [batches[index :: rank.size] for index in range(rank.size)]
        self._options = packed_attention.options(self.model, batches)
        if self.setup.recomputes_activations:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if plan.compile:
            _few_compilers(rank.size)
            for layer in self.model.get_base_model().model.layers:
                layer.compile()  # before DistributedDataParallel wraps the model, as one graph of all layers

    def inputs(self, shard: int, step: int) -> "dict[str, torch.Tensor]":
        """The rows of a rank in a step."""
        batch = self.shards[shard][step % lora_batches.BATCHES]
        return lora_batches.to_device(self.rank.device, lora_batches.packed(batch))

    def reset(self) -> None:
        """Back to the adapters of the start, with a new optimizer."""
        import torch

        with torch.no_grad():
            for name, values in self.trained.items():
                values.copy_(self._start[name])
                values.grad = None
        rate = self.setup.learning_rate
        self._optimizer = torch.optim.AdamW(self.trained.values(), lr=rate, weight_decay=0.0, fused=True)

    def forward(self, model: Any, inputs: "dict[str, torch.Tensor]") -> "torch.Tensor":
        """The loss of rows."""
        with self.setup.autocast():
            loss: torch.Tensor = model(**inputs, **self._options).loss
        return loss

    def update(self) -> None:
        """One step of the optimizer, by the gradients that are there."""
        import torch

        torch.nn.utils.clip_grad_norm_(self.trained.values(), MAX_GRAD_NORM)
        if self._optimizer is not None:
            self._optimizer.step()
            self._optimizer.zero_grad()
        self.rank.device.wait()


def _few_compilers(ranks: int) -> None:
    import torch._inductor.config as inductor

    inductor.compile_threads = min(MOST_COMPILERS, max(1, (os.cpu_count() or 1) // ranks))


def work(rank: Rank, settings: Mapping[str, Any], training: type[LoraSteps] = LoraSteps) -> dict[str, Any]:
    """What one rank notes, a `Noted`."""
    import torch

    plan = Plan.model_validate(settings)
    waiting = torch.distributed.new_group(backend="gloo")  # a GPU that waits for NCCL is not idle
    phase.enter("building the model")
    mine = training(rank, plan)
    phase.enter("warming up")
    mine.reset()
    for step in range(plan.warm_up):
        _step(mine, mine.model, mine.inputs(rank.index, step))
    alone = _alone(mine, waiting)
    phase.enter(f"the turn of {rank.other(0).name} on the rows of all")
    losses, exact = _one_device(mine) if rank.index == 0 else ((), {})
    torch.distributed.barrier(group=waiting)
    phase.enter("training together")
    together = _Together(mine)
    together.run()
    phase.enter("reading the weights")
    one_device = None
    if rank.index == 0:
        one_device = OneDevice(losses=losses, **asdict(gradients.compare(together.first_gradients, exact)))
    disturbed, unknown = neighbours.seen(rank.device, plan.ours[rank.index])
    noted = Noted(
        alone=alone,
        together=together.steps,
        forward_s=together.forward_s,
        losses=tuple(float(loss) for loss in together.losses),
        weights=digests(mine.model),
        one_device=one_device,
        compiled=together.compiled,
        peak_bytes=peak_memory.read(rank.device),
        cpu=together.cpu,
        disturbed=disturbed,
        unknown=unknown,
    )
    return noted.model_dump(mode="json")


def _alone(mine: LoraSteps, waiting: Any) -> Steps:
    """The steps of this rank while all others wait; each has its turn, and one step that does not count."""
    import torch

    steps = Steps(began=0.0, ended=())
    for turn in range(mine.rank.size):
        phase.enter(f"the turn of {mine.rank.other(turn).name} alone")
        torch.distributed.barrier(group=waiting)
        if turn == mine.rank.index:
            mine.reset()
            ended = []
            for step in range(mine.plan.alone + 1):
                _step(mine, mine.model, mine.inputs(turn, step))
                ended.append(time.monotonic())
            steps = Steps(began=ended[0], ended=tuple(ended[1:]))
    torch.distributed.barrier(group=waiting)
    return steps


def _step(mine: LoraSteps, model: Any, inputs: "dict[str, torch.Tensor]") -> "torch.Tensor":
    loss = mine.forward(model, inputs)
    loss.backward()
    mine.update()
    return loss.detach()


def _one_device(mine: LoraSteps) -> "tuple[tuple[tuple[float, ...], ...], dict[str, torch.Tensor]]":
    """Losses by step and rank, and the first gradients, of one device that trains on the rows of all ranks."""
    mine.reset()
    losses: list[tuple[float, ...]] = []
    first: dict[str, torch.Tensor] = {}
    for step in range(mine.plan.compared):
        of_ranks = []
        for shard in range(mine.rank.size):
            loss = mine.forward(mine.model, mine.inputs(shard, step))
            (loss / mine.rank.size).backward()
            of_ranks.append(loss.detach())
        first = first or gradients.kept(mine.trained)
        mine.update()
        losses.append(tuple(float(loss) for loss in of_ranks))
    return tuple(losses), first


class _Together:
    """The steps of all ranks together: those that are compared, which also warm up, and those that are timed."""

    def __init__(self, mine: LoraSteps) -> None:
        from torch.nn.parallel import DistributedDataParallel

        mine.reset()
        device = mine.rank.device
        self._mine = mine
        self._model = DistributedDataParallel(mine.model, device_ids=[device.index] if device.kind == "cuda" else None)
        self.losses: list[torch.Tensor] = []
        self.first_gradients: dict[str, torch.Tensor] = {}
        self._marks: list[Any] = []
        # Of the model inside: DistributedDataParallel's own forward begins with a broadcast of buffers, which waits.
        mine.model.register_forward_pre_hook(lambda *_: self._marks.append(_mark(mine)))
        mine.model.register_forward_hook(lambda *_: self._marks.append(_mark(mine)))

    def run(self) -> None:
        """Take the steps; the results are in the attributes then."""
        plan, device = self._mine.plan, self._mine.rank.device
        for step in range(plan.compared):
            self._step(step)
        before, graphs = processors.read(), round_timer.compiled_graphs()
        peak_memory.reset(device)
        self._marks.clear()
        began, ended = time.monotonic(), []
        for step in range(plan.compared, plan.compared + plan.together):
            self._step(step)
            ended.append(time.monotonic())
        self.steps = Steps(began=began, ended=tuple(ended))
        self.cpu = before, processors.read()
        self.compiled = round_timer.compiled_graphs() - graphs
        self.forward_s = tuple(map(_seconds, self._marks[::2], self._marks[1::2]))

    def _step(self, step: int) -> None:
        mine = self._mine
        loss = mine.forward(self._model, mine.inputs(mine.rank.index, step))
        loss.backward()
        self.losses.append(loss.detach())
        self.first_gradients = self.first_gradients or gradients.kept(mine.trained)
        mine.update()


def _mark(mine: LoraSteps) -> Any:
    """A moment on the device, which is read when it is over: reading it at once would wait for the device."""
    if mine.rank.device.kind == "cpu":
        return time.perf_counter()
    import torch

    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _seconds(began: Any, ended: Any) -> float:
    return float(ended - began if isinstance(began, float) else began.elapsed_time(ended) / 1e3)


def digests(model: Any) -> dict[str, str]:
    """A digest of each tensor of a model: SHA-256 of those that are trained, the sum of all 16-bit words of the rest.

    A sum is computed where the weights are: an 8 B model would take half a minute to hash on the host.
    """
    import torch

    def sum_of(values: "torch.Tensor") -> str:
        words = values.detach().contiguous().view(-1).view(torch.int16)
        return f"{words.numel()} words, sum {int(words.sum(dtype=torch.int64))}"

    return {
        name: repeatability.digest({name: values}) if values.requires_grad else sum_of(values)
        for name, values in model.named_parameters()
    }
