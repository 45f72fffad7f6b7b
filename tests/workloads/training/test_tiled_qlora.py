"""NF4 layers go through tiles where these are right and faster; forward and backward are those of the layer itself."""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: make setup")
pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.models import nf4
from dgxcert.workloads.models.four_bit.weights import FourBit
from dgxcert.workloads.training import exact_gradients, tiled_qlora

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and bitsandbytes warn about is not tested here

TOKENS = 24


def right(inputs: Any, *weights: Any) -> Any:
    """What a tile computes, in plain torch."""
    return inputs @ FourBit(*weights).dequantised().to(inputs.dtype).T


def neighbour(*inputs: Any) -> Any:
    return right(*inputs).roll(1, -1)


def last_row_lost(inputs: Any, *weights: Any) -> Any:
    return torch.cat([right(inputs[:-1], *weights), torch.zeros(1, len(weights[0]))])


def not_compiled(*_: Any) -> Any:
    raise RuntimeError("ptxas failed\nand a trace")


def layer(outer: int, inner: int) -> Any:
    generator = torch.Generator().manual_seed(outer)
    return nf4.sample(torch.randn(outer, inner, generator=generator)).layer


@pytest.fixture
def model() -> Any:
    return torch.nn.Sequential(layer(128, 64), layer(64, 128), layer(128, 64), torch.nn.Linear(128, 8)).train()


def outputs_and_gradient(model: Any) -> tuple[Any, Any]:
    inputs = torch.randn(2, TOKENS, 64, generator=torch.Generator().manual_seed(5), requires_grad=True)
    outputs = model(inputs)
    return outputs.detach(), torch.autograd.grad(outputs.square().sum(), inputs)[0]


def test_layers_through_tiles_are_the_layers_forward_and_backward(cpu: Device, model: Any) -> None:
    outputs, gradient = outputs_and_gradient(model)
    choice = tiled_qlora.choose(cpu, model, TOKENS, torch.float32, right, timed=False)
    assert (choice.layers, choice.tiled) == (3, 3)
    tiled, tiled_gradient = outputs_and_gradient(model)
    assert float((tiled - outputs).norm() / outputs.norm()) < 5e-3, "bitsandbytes rounds to bf16 on a CPU"
    assert float((tiled_gradient - gradient).norm() / gradient.norm()) < 1e-2


def test_the_gradient_is_the_product_with_the_dequantised_weights() -> None:
    one, inputs = layer(128, 64), torch.randn(TOKENS, 64, requires_grad=True)
    upstream = torch.randn(TOKENS, 128)
    (gradient,) = torch.autograd.grad(tiled_qlora._forward(one, right)(inputs), inputs, upstream)
    weights = exact_gradients.dequantised(one.weight.data, one.weight.quant_state)
    assert torch.allclose(gradient, upstream @ weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("product", "reason"),
    [
        (neighbour, "refused, its error is"),
        (last_row_lost, "refused, its error is"),
        (not_compiled, "refused, ptxas failed"),
    ],
)
def test_tiles_that_err_are_refused_and_the_layers_stay(
    cpu: Device, model: Any, product: Callable[..., Any], reason: str
) -> None:
    outputs, _ = outputs_and_gradient(model)
    choice = tiled_qlora.choose(cpu, model, TOKENS, torch.float32, product, timed=False)
    assert choice.tiled == 0
    assert [outcome.partition(": ")[2].startswith(reason) for outcome in choice.tried] == [True, True]
    assert torch.equal(outputs_and_gradient(model)[0], outputs)


@pytest.mark.parametrize(("share", "tiled"), [(0.97, 2), (0.99, 0), (1.5, 0)])
def test_only_shapes_that_are_faster_go_through_tiles(
    monkeypatch: pytest.MonkeyPatch, cpu: Device, model: Any, share: float, tiled: int
) -> None:
    shares = {128: share, 64: 1.2}
    monkeypatch.setattr(tiled_qlora._Trial, "share", lambda self: shares[self._layer.out_features])
    choice = tiled_qlora.choose(cpu, model, TOKENS, torch.float32, right, timed=True)
    assert choice.tiled == tiled
    evidence = Recorder()
    choice.record(evidence)
    (item,) = evidence.kept
    assert (item.name, item.value, item.unit) == ("NF4 layers through tiles", tiled, "of 3")
    assert item.source.endswith(f"128x64: {share:.3f} of bitsandbytes' time; 64x128: 1.200 of bitsandbytes' time")


def test_both_ways_are_timed_on_the_layer_itself(cpu: Device) -> None:
    assert tiled_qlora._Trial(cpu, layer(128, 64), TOKENS, torch.float32, right).share() > 0


def test_a_layer_through_tiles_is_compiled_as_one_graph(cpu: Device, model: Any) -> None:
    tiled_qlora.choose(cpu, model, TOKENS, torch.float32, right, timed=False)
    graphs: list[Any] = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    outputs, gradient = outputs_and_gradient(model)
    compiled, compiled_gradient = outputs_and_gradient(torch.compile(model, backend=backend, fullgraph=True))
    torch.compiler.reset()
    assert len(graphs) == 1
    assert torch.allclose(compiled, outputs, rtol=1e-4, atol=1e-4)
    assert torch.allclose(compiled_gradient, gradient, rtol=1e-3, atol=1e-2)


def test_on_a_cpu_and_without_a_kernel_the_record_says_why_no_layer_goes_through_tiles(
    monkeypatch: pytest.MonkeyPatch, cpu: Device, model: Any
) -> None:
    assert tiled_qlora.before_training(cpu, model, TOKENS, "fp32").tried == [tiled_qlora.NO_TILES]

    def missing() -> Any:
        raise ModuleNotFoundError("No module named 'triton'")

    monkeypatch.setattr(tiled_qlora.operator, "register", missing)
    choice = tiled_qlora.before_training(Device("cuda", 0, "GPU"), model, TOKENS, "bf16")
    assert (choice.tiled, choice.tried) == (0, ["no kernel: No module named 'triton'"])


def test_a_training_through_tiles_is_that_of_a_plain_loop(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder, trained: Callable[..., Any]
) -> None:
    choose = tiled_qlora.choose
    tiled: list[int] = []

    def through_tiles(device: Device, model: Any, tokens: int, _: str) -> tiled_qlora.Choice:
        choice = choose(device, model, tokens, torch.float32, right, timed=False)
        tiled.append(choice.tiled)
        return choice

    monkeypatch.setattr(tiled_qlora, "before_training", through_tiles)
    training = trained(profile, "nf4-tuned-large")
    training.verify(evidence)
    assert not evidence.violated
    assert tiled[0] == training._tiles.layers > 0
