"""Backward passes: gradients written out equal torch's in fp64, right ones are quiet, and every wrong one shows."""

import dataclasses
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from suites import wrong_gradients

from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.correctness import backward_passes
from dgxcert.workloads.correctness.backward_passes import Layer

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch and bitsandbytes are not tested here

CPU = Device("cpu", 0, "CPU")
LIMIT = float(profiles.load("cpu").limit("gradients").max or 0)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small layers: most of these tests are about what is caught."""
    monkeypatch.setattr(backward_passes, "LINEAR", {"cpu": ((65, 100, 64),)})
    monkeypatch.setattr(backward_passes, "TOKENS", 65)
    monkeypatch.setattr(backward_passes, "HIDDEN", 128)
    monkeypatch.setattr(backward_passes, "CLASSES", 512)
    monkeypatch.setattr(backward_passes, "LORA", {"cpu": ((256, 192),)})


def layers(precision: str) -> list[Layer]:
    if precision == "nf4":
        pytest.importorskip("bitsandbytes", reason="NF4 needs bitsandbytes: make setup")
    return backward_passes.layers(CPU, precision)


def errors(layer: Layer, precision: str) -> dict[str, float]:
    """The error of each gradient of a layer, by the name of its input."""
    compute = backward_passes.compute_precision(precision, CPU)
    return dict(zip(layer.inputs, (each.error for each in backward_passes.errors(layer, CPU, compute)), strict=True))


def test_every_layer_that_training_stands_on_is_compared() -> None:
    names = [layer.name for precision in ("bf16", "nf4") for layer in layers(precision)]
    assert names == [
        "linear 65x100x64",
        "RMSNorm fused",
        "RMSNorm as in llama",
        "LayerNorm",
        "SwiGLU",
        "an embedding",
        "cross-entropy",
        "LoRA through NF4 256x192",
    ]


def test_gradients_written_out_equal_torchs_in_fp64() -> None:
    for layer in layers("fp32"):
        leaves = {name: tensor.double().requires_grad_() for name, tensor in layer.inputs.items()}
        output = layer.forward(**leaves)
        gradient = layer.gradient.double()
        computed = torch.autograd.grad(output, list(leaves.values()), gradient.to(output.dtype))
        terms = layer.backward(gradient, **{name: tensor.detach() for name, tensor in leaves.items()})
        for name, actual in zip(leaves, computed, strict=True):
            torch.testing.assert_close(actual, terms[name][0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "nf4"])
@pytest.mark.parametrize("seed", range(5))
def test_right_gradients_are_far_below_the_limit(precision: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def normal(*shapes: tuple[int, ...]) -> list[Any]:
        generator = torch.Generator().manual_seed(seed)
        return [torch.randn(shape, generator=generator) for shape in shapes]

    monkeypatch.setattr(backward_passes, "_normal", normal)
    for layer in layers(precision):
        assert max(errors(layer, precision).values()) < LIMIT / 2, layer.name


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "nf4"])
@pytest.mark.parametrize("fault", wrong_gradients.FAULTS)
def test_a_wrong_gradient_shows_in_every_layer_and_input(precision: str, fault: str) -> None:
    """And only in that input: the others stay below the limit."""
    for layer in layers(precision):
        for name in layer.inputs:
            broken = dataclasses.replace(layer, forward=changing(layer, name, fault))
            found = errors(broken, precision)
            assert found.pop(name) > LIMIT, f"{layer.name}: d{name}"
            assert all(error < LIMIT for error in found.values()), layer.name


def changing(layer: Layer, name: str, fault: str) -> Any:
    """The layer, with a wrong gradient of one input."""

    def forward(**inputs: Any) -> Any:
        inputs[name] = wrong_gradients.changed(inputs[name], wrong_gradients.FAULTS[fault])
        return layer.forward(**inputs)

    return forward


def test_fp32_gradients_of_truncated_numbers_show(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.nn.functional.linear

    def tf32(numbers: Any) -> Any:
        cut = (numbers.detach().view(torch.int32) & ~0x1FFF).view(torch.float32)
        return numbers + (cut - numbers).detach()

    linear = next(layer for layer in layers("fp32") if layer.name.startswith("linear"))
    monkeypatch.setattr(torch.nn.functional, "linear", lambda x, w, b: right(tf32(x), tf32(w), b))
    found = errors(linear, "fp32")
    assert found["x"] > LIMIT
    assert found["w"] > LIMIT


def test_a_gradient_where_none_should_be_shows() -> None:
    """Of tokens that no text holds, and of those without a target."""
    for layer in layers("bf16"):
        if layer.name in ("an embedding", "cross-entropy"):
            (name,) = layer.inputs

            def leak(gradient: Any) -> Any:
                gradient[0, 0] = 1e-3
                return gradient

            forward = layer.forward

            def leaking(forward: Any = forward, name: str = name, **inputs: Any) -> Any:
                return forward(**{name: wrong_gradients.changed(inputs[name], leak)})

            assert errors(dataclasses.replace(layer, forward=leaking), "bf16")[name] > LIMIT


def test_gradients_that_are_not_numbers_are_wrong() -> None:
    layer = layers("bf16")[0]
    broken = dataclasses.replace(layer, forward=lambda x, w, b: layer.forward(x, w, b) * torch.nan)
    with pytest.raises(Wrong, match=r"dX of linear 65x100x64 in bf16: .* not finite"):
        errors(broken, "bf16")


def test_the_worst_row_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layers("bf16")[0]
    broken = dataclasses.replace(layer, forward=changing(layer, "w", "one_row_zeroed"))
    monkeypatch.setattr(backward_passes, "layers", lambda device, precision: [broken])
    compared = backward_passes.compare(CPU, "bf16")
    assert compared.gradients == 3
    assert compared.worst.row == "dW of linear 65x100x64 in bf16, row 62"
