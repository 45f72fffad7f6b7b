"""Adapters: PEFT's LoRA on a CPU is attached, trained alone and merged, and planted faults change the numbers."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="adapters need torch: make setup")
peft = pytest.importorskip("peft", reason="adapters need peft: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.stack import adapters

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and peft warn about is not tested here

CPU = Device("cpu", 0, "CPU")


def test_adapters_are_trained_alone_and_merged_without_a_change() -> None:
    model = adapters.run(CPU)
    # Two layers; q_proj is 64 to 64, and v_proj 64 to 32, as two of four heads have keys and values.
    assert model.trainable == model.expected == 2 * adapters.RANK * ((64 + 64) + (64 + 32))
    assert (model.without_gradient, model.others_with_gradient) == (0, 0)
    assert model.merge_difference < 1e-4
    assert model.moved > 1
    assert model.gradients.tensors == 8
    assert model.gradients.angle_deg < 1e-3
    assert model.gradients.size == pytest.approx(1, abs=1e-5)


@pytest.mark.catches("PEFT-LORA", "the gradients of one adapter matrix halved or negated")
@pytest.mark.parametrize("change", [torch.neg, lambda gradient: gradient / 2])
def test_a_wrong_gradient_of_one_adapter_is_seen(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    original = adapters._fill_lora_b

    def fill(model: Any) -> None:
        original(model)
        name = "base_model.model.model.layers.1.self_attn.v_proj.lora_A.default"
        model.get_submodule(name).weight.register_hook(change)

    monkeypatch.setattr(adapters, "_fill_lora_b", fill)
    agreement = adapters.run(CPU).gradients
    assert agreement.angle_deg > 90 or agreement.size == pytest.approx(0.5)
    assert "layers.1.self_attn.v_proj.lora_A" in {agreement.angle_at, agreement.size_at}


def test_adapters_without_effect_and_without_gradient_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "_fill_lora_b", lambda model: None)
    model = adapters.run(CPU)
    assert model.moved == 0
    assert model.without_gradient == 4, "each A gets no gradient while its B is zero"


def test_a_base_model_that_is_trained_too_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    original = peft.get_peft_model

    def without_freezing(base: Any, config: Any) -> Any:
        model = original(base, config)
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        return model

    monkeypatch.setattr(peft, "get_peft_model", without_freezing)
    model = adapters.run(CPU)
    assert model.trainable > model.expected
    assert model.others_with_gradient > 0
