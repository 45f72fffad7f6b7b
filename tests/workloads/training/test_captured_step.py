"""A captured step is the step that it was captured from, and one that is not is caught; without a GPU it is called."""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: make setup")

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.training import captured_step, lora
from dgxcert.workloads.training.captured_step import CapturedStep

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here

Step = Callable[[dict[str, Any]], Any]


class Graph:
    """A stand-in for a CUDA graph: it repeats a step on the inputs that it was captured with."""

    def __init__(self, step: CapturedStep, repeated: Step) -> None:
        self.replays = 0
        self._step, self._repeated = step, repeated

    def replay(self) -> None:
        self.replays += 1
        self._step._loss.copy_(self._repeated(self._step._inputs))  # type: ignore[union-attr]


class OnStandIn(CapturedStep):
    """A captured step whose graph is a stand-in, on a CPU."""

    wrong: Step | None = None

    def __init__(self, device: Device, step: Step, example: Any) -> None:
        super().__init__(device, step, example)
        self.reason = ""

    def _capture(self) -> None:
        self._loss = torch.zeros(())
        self._graph = Graph(self, self.wrong or self._step)


@pytest.fixture
def captured(
    monkeypatch: pytest.MonkeyPatch, cpu: Device, profile: Profile, steps: Callable[[int], Any]
) -> Callable[..., lora.TunedTraining]:
    """The tuned course training on a stand-in after 8 steps; `wrong` makes what the graph does of the training."""

    def train(wrong: Callable[[lora.TunedTraining], Step] | None = None) -> lora.TunedTraining:
        monkeypatch.setattr(lora, "CapturedStep", OnStandIn)
        training = lora.prepare(cpu, profile, Case("fp32", "tuned", "course"))
        assert isinstance(training, lora.TunedTraining)
        assert isinstance(training._captured, OnStandIn)
        training.run_rounds(steps(8))
        if wrong is not None:
            training._captured._graph._repeated = wrong(training)
        return training

    return train


def test_a_captured_step_trains_as_a_plain_loop_does(
    captured: Callable[..., lora.TunedTraining], evidence: Recorder
) -> None:
    training = captured()
    assert training._captured is not None
    assert training._captured._graph.replays == 8 - captured_step.WARM_UP_STEPS
    training.verify(evidence)
    assert not evidence.violated
    kept = {item.name: item.value for item in evidence.kept}
    assert kept["step is one CUDA graph"] is True
    assert kept["difference of captured updates"] == 0
    assert kept["angle to uncaptured gradients"] == pytest.approx(0, abs=1e-3)


def test_losses_of_replays_are_kept_apart(captured: Callable[..., lora.TunedTraining]) -> None:
    losses = [float(loss) for loss in captured().losses]
    assert len(set(losses)) == len(losses), "each replay overwrites the loss of the one before"


def on_other_rows(training: lora.TunedTraining) -> Step:
    return lambda _: training._train(training._inputs[1])


def without_update(training: lora.TunedTraining) -> Step:
    def step(inputs: dict[str, Any]) -> Any:
        before = [values.detach().clone() for values in training.trained.values()]
        loss = training._train(inputs)
        for values, old in zip(training.trained.values(), before, strict=True):
            values.data.copy_(old + 0.5 * (values.detach() - old))
        return loss

    return step


@pytest.mark.parametrize(
    ("wrong", "quantity"),
    [(on_other_rows, "angle to uncaptured gradients"), (without_update, "difference of captured updates")],
    ids=["a graph that reads another batch", "a graph whose updates are half as long"],
)
def test_a_graph_that_does_something_else_is_caught(
    captured: Callable[..., lora.TunedTraining],
    evidence: Recorder,
    wrong: Callable[[lora.TunedTraining], Step],
    quantity: str,
) -> None:
    training = captured(wrong)
    with pytest.raises(Wrong):
        training.verify(evidence)
    assert [pair[0].name for pair in evidence.violated] == [quantity]


def test_without_a_gpu_the_record_says_that_nothing_was_captured(
    trained: Callable[..., Any], profile: Profile, evidence: Recorder
) -> None:
    training = trained(profile, "fp32-tuned-course")
    training.verify(evidence)
    (graph,) = [item for item in evidence.kept if item.name == "step is one CUDA graph"]
    assert (graph.value, graph.source) == (False, captured_step.NO_GRAPHS)


def test_a_refused_capture_is_given_as_the_reason_and_every_step_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise RuntimeError("operation not permitted when stream is capturing\nand a trace")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "device", refuse)
    monkeypatch.setattr(CapturedStep, "_on_side_stream", lambda self: self._step(self._inputs))
    step = CapturedStep(Device("cuda", 0, "GPU"), lambda inputs: inputs["rows"].sum(), {"rows": torch.zeros(2)})
    losses = [float(step({"rows": torch.full((2,), float(number))})) for number in range(6)]
    assert losses == [0, 2, 4, 6, 8, 10]
    assert not step.captured
    assert step.reason == "the step could not be captured: operation not permitted when stream is capturing"


def test_the_step_that_is_captured_asks_the_device_for_no_value(
    cpu: Device, profile: Profile, steps: Callable[[int], Any]
) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    waits = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "item"}
    called: set[str] = set()

    class Calls(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            called.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    training = lora.prepare(cpu, profile, Case("fp32", "tuned", "course"))
    assert isinstance(training, lora.TunedTraining)
    training.run_rounds(steps(1))  # the first step also keeps its gradients, on the host
    with Calls():
        training._train(training._inputs[0])
    assert "_fused_adamw_" in called
    assert not waits & called
