"""Adapters: PEFT's LoRA on a small Llama, its parameters, their gradients, and the logits after merging."""

from dataclasses import dataclass
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.probes.stack import intruder
from dgxcert.workloads import numerics
from dgxcert.workloads.training import exact_gradients, gradients
from dgxcert.workloads.training.gradients import Agreement, is_usable

RANK, TARGETS = 4, ("q_proj", "v_proj")
VOCABULARY, LENGTH = 128, 16
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}

MOVED = Limit(
    name="what adapters change",
    min=0.1,
    unit="std of logits",
    source="2.4 measured; merging adapters without effect proves nothing",
)


@dataclass(frozen=True)
class AdaptedModel:
    """A model with adapters: parameters, gradients of one backward pass, and differences of its logits."""

    trainable: int
    """Trainable parameters."""
    expected: int
    """Trainable parameters by arithmetic: r (inputs + outputs) for each target layer."""
    without_gradient: int
    """Adapter matrices without a usable gradient."""
    others_with_gradient: int
    """Parameters of the base model that got a gradient."""
    gradients: Agreement
    """How the adapters' gradients agree with exact ones."""
    merge_difference: float
    """Largest difference of a logit after merging, in standard deviations of the logits."""
    moved: float
    """Largest difference of a logit between the model with and without its adapters, in the same unit."""


@intruder.named()
def run(device: Device) -> AdaptedModel:
    """Attach adapters, run one forward and backward pass, and merge; in fp32 on the device."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[device.index] if device.kind == "cuda" else []), numerics.exact_matmul():
        torch.manual_seed(11)
        base = LlamaForCausalLM(LlamaConfig(**SHAPE)).to(device.name)
        ids = torch.randint(VOCABULARY, (2, LENGTH), device=device.name)
        plain = _logits(base, ids)
        targets = [module for name, module in base.named_modules() if name.endswith(TARGETS)]
        expected = sum(RANK * (module.in_features + module.out_features) for module in targets)
        config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=list(TARGETS), task_type="CAUSAL_LM")
        model: Any = get_peft_model(base, config)
        _fill_lora_b(model)
        model.train()
        model(input_ids=ids, labels=ids).loss.backward()
        trained = {name: values for name, values in model.named_parameters() if values.requires_grad}
        agreement = gradients.compare(gradients.kept(trained), exact_gradients.of_causal(model, list(ids)))
        trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        adapters = [parameter for name, parameter in model.named_parameters() if "lora_" in name]
        others = [parameter for name, parameter in model.named_parameters() if "lora_" not in name]
        with_lora = _logits(model, ids)
        merged = _logits(model.merge_and_unload(), ids)
    return AdaptedModel(
        trainable=trainable,
        expected=expected,
        without_gradient=sum(not is_usable(parameter.grad) for parameter in adapters),
        others_with_gradient=sum(parameter.grad is not None for parameter in others),
        gradients=agreement,
        merge_difference=float((merged - with_lora).abs().max() / with_lora.std()),
        moved=float((with_lora - plain).abs().max() / plain.std()),
    )


def _logits(model: Any, ids: Any) -> Any:
    """Logits in eval mode, in fp64 on the CPU, of shape (rows, length, vocabulary)."""
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=ids).logits.double().cpu()


def _fill_lora_b(model: Any) -> None:
    """Draw each B at random: PEFT starts it at zero, so that an adapter has no effect and A gets no gradient."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
