"""Adapters: PEFT attaches LoRA to a small model, only the adapters learn, and merging them changes no answer."""

from dataclasses import dataclass
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.workloads import numerics

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
    source="2.4 measured; merging what does nothing proves nothing",
)


@dataclass(frozen=True)
class Attached:
    """What came of it. `expected` is counted from the shapes of the layers that adapters were attached to."""

    trainable: int
    expected: int
    without_gradient: int
    """Adapter matrices that learned nothing."""
    others_with_gradient: int
    """Weights of the model itself that would have been changed."""
    merge_difference: float
    """Largest difference of a logit after merging, in standard deviations of the logits."""
    moved: float
    """The same between the model with and without its adapters: a merge of nothing proves nothing."""


def run(device: Device) -> Attached:
    """Attach, go one step back and forth, merge, and count; in fp32 on the device."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[device.index] if device.kind == "cuda" else []), numerics.exact_products():
        torch.manual_seed(11)
        base = LlamaForCausalLM(LlamaConfig(**SHAPE)).to(device.name)
        ids = torch.randint(VOCABULARY, (2, LENGTH), device=device.name)
        plain = _logits(base, ids)
        targets = [each for name, each in base.named_modules() if name.endswith(TARGETS)]
        expected = sum(RANK * (each.in_features + each.out_features) for each in targets)
        config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=list(TARGETS), task_type="CAUSAL_LM")
        model: Any = get_peft_model(base, config)
        _fill_second_matrices(model)
        model.train()
        model(input_ids=ids, labels=ids).loss.backward()
        trainable = sum(each.numel() for each in model.parameters() if each.requires_grad)
        adapters = [each for name, each in model.named_parameters() if "lora_" in name]
        others = [each for name, each in model.named_parameters() if "lora_" not in name]
        learned = sum(
            each.grad is not None and bool(each.grad.isfinite().all() and each.grad.any()) for each in adapters
        )
        touched = sum(each.grad is not None for each in others)
        adapted = _logits(model, ids)
        merged = _logits(model.merge_and_unload(), ids)
    return Attached(
        trainable=trainable,
        expected=expected,
        without_gradient=len(adapters) - learned,
        others_with_gradient=touched,
        merge_difference=float((merged - adapted).abs().max() / adapted.std()),
        moved=float((adapted - plain).abs().max() / plain.std()),
    )


def _logits(model: Any, ids: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=ids).logits.double().cpu()


def _fill_second_matrices(model: Any) -> None:
    """PEFT begins with zeros in B, under which an adapter does nothing and A gets no gradient."""
    import torch

    with torch.no_grad():
        for name, each in model.named_parameters():
            if "lora_B" in name:
                each.normal_(0, 0.1)
