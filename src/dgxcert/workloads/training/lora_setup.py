"""LoRA set-ups: the model, adapters and batches of each case, the operations of a step, and the memory it takes.

Dropout is off in all of them, so that the losses of two paths can be compared.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

from dgxcert.judgement.benchmark_cases import COURSE, TUNED, Case
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Lab, LoraModel
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.course import distilbert_lab
from dgxcert.workloads.hardware import rooflines
from dgxcert.workloads.hardware.rooflines import Cost
from dgxcert.workloads.models import architectures, seeded, text
from dgxcert.workloads.training import gradients, lora_batches
from dgxcert.workloads.training.lora_batches import Batch

TARGETS = ["q_proj", "v_proj"]
SEED = 23
ACTIVATION_VALUES = 34
"""Values kept for the backward pass per token, hidden unit and layer (Korthikanti et al. 2022, section 4, in bytes of
16-bit training; about as many values where attention is fused)."""
RECOMPUTING_SAVES = 8
"""Factor by which activations shrink, at the least, where each layer keeps only its input."""
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}


@dataclass(frozen=True)
class Setup:
    """One case on one device: everything that is known before a model is built."""

    device: Device
    case: Case
    compute: str
    """Precision of the arithmetic, which 4-bit weights are dequantised to."""
    batches: tuple[Batch, ...]
    learning_rate: float
    cost: Cost
    """Bytes and operations that one step cannot do without."""
    flops: float
    """Operations of one step as MFU counts them: 4 per weight and token, as frozen weights need no gradient."""
    weight_bytes: float
    activation_bytes: float
    """Activations that are kept for the backward pass, of the padded rows."""
    sizes: Any

    @property
    def is_classifier(self) -> bool:
        """Whether this is the course's DistilBERT classifier rather than a causal model."""
        return self.case.setting == COURSE

    @property
    def tokens(self) -> int:
        """Real tokens of a step."""
        return lora_batches.tokens(self.batches[0])

    @property
    def recomputes_activations(self) -> bool:
        """Whether the backward pass recomputes activations: only `tuned`, and only where memory is short."""
        needed = self.weight_bytes + self.activation_bytes
        return self.case.path == TUNED and not self.is_classifier and needed > allocation.allowed_bytes(self.device)

    @property
    def extra_bytes(self) -> float:
        """Memory that training takes in addition to the weights."""
        return self.activation_bytes / RECOMPUTING_SAVES if self.recomputes_activations else self.activation_bytes

    def build(self) -> Any:
        """The PEFT model in training mode, with the same weights each time.

        Raises Inconclusive where training would not fit into memory.
        """
        import torch
        from peft import LoraConfig, get_peft_model

        with torch.random.fork_rng(devices=[]):  # PEFT draws the adapters from the global generator of the CPU
            torch.manual_seed(SEED)
            if self.is_classifier:
                allocation.require(self.device, self.weight_bytes + self.activation_bytes, "the course's LoRA set-up")
                model = distilbert_lab.build_model(self.device, self.sizes, _vocabulary(), **NO_DROPOUT)
                return gradients.with_effect(model.train())
            shape = architectures.find(self.sizes.model)
            base = seeded.build(self.device, shape, self.case.precision, extra_bytes=self.extra_bytes)
            base.is_quantized = False  # or Trainer asks for the checkpoint's quantizer, and there is none
            rank = self.sizes.rank
            adapters = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM")
            return gradients.with_effect(get_peft_model(base, adapters).train())

    def autocast(self) -> Any:
        """The context for a forward pass: bf16 autocast for the course's fp32 weights, else none."""
        import torch

        if self.is_classifier and self.compute == "bf16":
            return torch.autocast(self.device.kind, dtype=torch.bfloat16)
        return contextlib.nullcontext()


def find(device: Device, profile: Profile, case: Case) -> Setup:
    """The set-up of a case with the sizes of a profile."""
    if case.setting == COURSE:
        return _course(device, profile, case)
    return causal(device, getattr(profile.workloads.lora, case.setting), case)


def _vocabulary() -> int:
    return len(text.tokenizer())


def _course(device: Device, profile: Profile, case: Case) -> Setup:
    sizes: Lab = profile.workloads.lab
    batches = lora_batches.classified(sizes.batch, sizes.length, _vocabulary())
    tokens = lora_batches.tokens(batches[0])
    parameters = sizes.layers * sizes.hidden * (4 * sizes.hidden + 2 * sizes.intermediate)
    # In fp32: the layers, embeddings of tokens and positions, and the head with PEFT's copy of it.
    weights = 4.0 * (parameters + sizes.hidden * (_vocabulary() + sizes.length + 4 * sizes.hidden))
    activations = (
        ACTIVATION_VALUES * 4.0 * sizes.batch * sizes.length * sizes.hidden * sizes.layers + allocation.GIB / 4
    )
    cost = rooflines.lora_encoder(sizes, case.precision, tokens)
    compute, flops = case.precision, 4.0 * parameters * tokens
    return Setup(device, case, compute, batches, sizes.learning_rate, cost, flops, weights, activations, sizes)


def causal(device: Device, sizes: LoraModel, case: Case) -> Setup:
    """The set-up of a causal model of these sizes."""
    shape = architectures.find(sizes.model)
    compute = numerics.compute_precision(case.precision, device.kind)
    batches = lora_batches.prose(sizes.batch, sizes.length, shape.vocabulary)
    tokens = lora_batches.tokens(batches[0])
    weights, activations = causal_bytes(sizes, case.precision, compute)
    cost = rooflines.lora(shape, case.precision, compute, tokens)
    flops = 4.0 * (shape.layer_parameters + shape.head_parameters) * tokens
    return Setup(device, case, compute, batches, sizes.learning_rate, cost, flops, weights, activations, sizes)


def causal_bytes(sizes: LoraModel, precision: str, compute: str) -> tuple[float, float]:
    """Bytes of the weights of a causal model, and of the activations that a step keeps for its backward pass."""
    shape = architectures.find(sizes.model)
    # Logits, their softmax and its gradient, in fp32 whatever the model computes in.
    logits = 3 * 4.0 * sizes.batch * sizes.length * shape.vocabulary
    layers = ACTIVATION_VALUES * architectures.BYTES[compute] * sizes.batch * sizes.length * shape.hidden * shape.layers
    return seeded.size_bytes(shape, precision, compute), layers + logits + allocation.GIB / 4
