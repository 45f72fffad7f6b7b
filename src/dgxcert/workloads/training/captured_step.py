"""Captured step: a whole training step as one CUDA graph, which a GPU replays without waiting for the host.

A step of a small model is hundreds of kernels of a few microseconds each, and the host needs longer to launch one than
the GPU to run it. What is captured is forward pass, backward pass, clipping and optimizer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.units import OF_EXACT
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.training import gradients

if TYPE_CHECKING:
    import torch

WARM_UP_STEPS = 3
"""Steps before the capture, which are steps of the training like any other: libraries choose their kernels in them, and
the optimizer makes its state."""
NO_GRAPHS = "a CPU has no CUDA graphs"
UPDATE = Limit(
    name="difference of captured updates",
    max=0.05,
    unit="relative",
    source="the same kernels in the same order give 0, an update of half its length 0.5, that of another batch more",
)
"""Relative Frobenius error of the change of all trained tensors by one step."""

Inputs = dict[str, "torch.Tensor"]


@dataclass
class Training:
    """What a step changes: the trained tensors by name, and their optimizer."""

    trained: "dict[str, torch.Tensor]"
    optimizer: Any

    def state(self) -> "list[torch.Tensor]":
        """Every tensor that a step changes and the next one reads; gradients are not among them."""
        state = self.optimizer.state.values()
        return [*self.trained.values(), *(values for each in state for values in each.values())]


class CapturedStep:
    """A training step, replayed as one CUDA graph after `WARM_UP_STEPS`; without a GPU it is called as it is.

    `step` takes the inputs of a batch and returns the loss, detached; it must not wait for the device. All batches are
    of the shapes of `example`, since a graph reads its inputs where it found them.
    """

    def __init__(self, device: Device, step: "Callable[[Inputs], torch.Tensor]", example: Inputs) -> None:
        self.reason = "" if device.kind == "cuda" else NO_GRAPHS
        """Why the step is not one graph; empty where it is, or may become one."""
        self._device, self._step = device, step
        self._inputs = {name: values.clone() for name, values in example.items()}
        self._taken = 0
        self._graph: Any = None
        self._loss: torch.Tensor | None = None
        self._stream: Any = None

    @property
    def captured(self) -> bool:
        """Whether the step is one CUDA graph by now."""
        return self._graph is not None

    def __call__(self, inputs: Inputs) -> "torch.Tensor":
        """Take one step on a batch; returns its loss, on the device, without waiting for it."""
        for name, values in inputs.items():
            self._inputs[name].copy_(values)
        if not self.captured and not self.reason and self._taken >= WARM_UP_STEPS:
            self._capture()
        self._taken += 1
        if self._graph is None or self._loss is None:
            return self._on_side_stream()
        self._graph.replay()
        return self._loss.clone()  # the next replay overwrites it

    def uncaptured(self, inputs: Inputs) -> "torch.Tensor":
        """Take the same step on a batch without the graph."""
        for name, values in inputs.items():
            self._inputs[name].copy_(values)
        return self._on_side_stream()

    def _on_side_stream(self) -> "torch.Tensor":
        """The step on the stream of the capture, as torch's CUDA graph notes demand.

        Autograd adds up gradients on the stream on which it saw a tensor first, which must not be another one later.
        """
        if self._device.kind != "cuda":
            return self._step(self._inputs)
        import torch

        current = torch.cuda.current_stream(self._device.index)
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device.index)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            loss = self._step(self._inputs)
        current.wait_stream(self._stream)
        return loss

    def _capture(self) -> None:
        """Capture the step; what is captured does not run. Sets `reason` where CUDA or a library refuses."""
        import torch

        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(self._device.index), torch.cuda.graph(graph, stream=self._stream):
                loss = self._step(self._inputs)
        except RuntimeError as error:  # torch's, whatever it was that must not happen during a capture
            self.reason = f"the step could not be captured: {str(error).partition(chr(10))[0]}"
            return
        self._graph, self._loss = graph, loss


def verify(
    evidence: Recorder, step: CapturedStep, training: Training, inputs: Inputs, profile: Profile, key: str
) -> None:
    """Record whether the step is one graph, and require one more such step to be the same without it; raises Wrong.

    `key` names the precision in the profile's limits of gradients. Afterwards the training is where the second of the
    two steps left it, which began where the first one did.
    """
    source = step.reason or f"after {WARM_UP_STEPS} steps without it"
    evidence.record("step is one CUDA graph", step.captured, source=source)
    if not step.captured:
        return
    before = [values.detach().clone() for values in training.state()]
    captured = _Taken(step(inputs), training, before)
    _restore(training, before)
    plain = _Taken(step.uncaptured(inputs), training, before)
    agreement = gradients.compare(captured.gradients, plain.gradients)
    source = "one more step, by the graph and without it: {}"
    angle = evidence.record(
        "angle to uncaptured gradients", agreement.angle_deg, unit="°", source=source.format(agreement.angle_at)
    )
    evidence.require(angle <= profile.limit(f"training.direction.{key}"))
    size = evidence.record(
        "size of captured gradients", agreement.size, unit=OF_EXACT, source=source.format(agreement.size_at)
    )
    evidence.require(size.within(profile.limit(f"training.size.{key}")))
    difference = captured.differs_from(plain)
    update = evidence.record(UPDATE.name, difference, unit="relative", source=source.format("all trained tensors"))
    evidence.require(update.within(UPDATE))


class _Taken:
    """What one step did: its gradients, and the change of the trained tensors."""

    def __init__(self, loss: "torch.Tensor", training: Training, before: "list[torch.Tensor]") -> None:
        self.loss = float(loss)  # waits for the step
        self.gradients = gradients.kept(training.trained)
        trained = zip(training.trained.values(), before, strict=False)  # the optimizer's state comes after them
        self.updates = [(values.detach() - old).double() for values, old in trained]

    def differs_from(self, other: "_Taken") -> float:
        """Relative Frobenius error of the updates; infinite where the other one changed nothing."""
        pairs = zip(self.updates, other.updates, strict=True)
        squares = sum(float((mine - theirs).square().sum()) for mine, theirs in pairs)
        size = sum(float(theirs.square().sum()) for theirs in other.updates)
        return (squares / size) ** 0.5 if size else float("inf")


def _restore(training: Training, before: "list[torch.Tensor]") -> None:
    """Put every tensor of a training back, in its place: a graph reads it there."""
    import torch

    with torch.no_grad():
        for values, old in zip(training.state(), before, strict=True):
            values.copy_(old)
