"""LoRA's set-ups: which model with which adapters and batches a case trains, what a step costs, what memory it takes.

Dropout is off in all of them, so that two ways to train can be held against each other.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

from dgxcert.judgement.benchmark_cases import COURSE, TUNED, Case
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Lab
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.course import distilbert_lab
from dgxcert.workloads.hardware import rooflines
from dgxcert.workloads.hardware.rooflines import Cost
from dgxcert.workloads.models import architectures, seeded, text
from dgxcert.workloads.training import lora_batches
from dgxcert.workloads.training.lora_batches import Batch

TARGETS = ["q_proj", "v_proj"]
SEED = 23
ACTIVATIONS = 34
"""Values kept for the backward pass per token, hidden unit and layer (Korthikanti et al. 2022, section 4, in bytes of
16-bit training; about as many values where attention is fused)."""
RECOMPUTED = 8
"""So much less is kept at the least where each layer keeps only what it reads."""
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}


@dataclass(frozen=True)
class Setup:
    """One case on one device, before anything is built."""

    device: Device
    case: Case
    compute: str
    batches: tuple[Batch, ...]
    learning_rate: float
    cost: Cost
    """Of one step."""
    flops: float
    """Of one step, as MFU counts them: 4 for each weight and token."""
    weight_bytes: float
    activation_bytes: float
    """Kept for the backward pass, of the padded rows."""
    sizes: Any

    @property
    def classifies(self) -> bool:
        """Whether this is the course's classifier rather than a causal model."""
        return self.case.setting == COURSE

    @property
    def tokens(self) -> int:
        """Real tokens of a step."""
        return lora_batches.tokens(self.batches[0])

    @property
    def recomputes(self) -> bool:
        """Whether activations are computed anew in the backward pass: only `tuned`, and only where memory asks."""
        needed = self.weight_bytes + self.activation_bytes
        return self.case.path == TUNED and not self.classifies and needed > allocation.allowed_bytes(self.device)

    @property
    def beside_bytes(self) -> float:
        """What training holds beside the weights."""
        return self.activation_bytes / RECOMPUTED if self.recomputes else self.activation_bytes

    def build(self) -> Any:
        """The model with its adapters, always the same; raises Inconclusive where training would not fit."""
        import torch
        from peft import LoraConfig, get_peft_model

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            if self.classifies:
                allocation.require(self.device, self.weight_bytes + self.activation_bytes, "the course's LoRA set-up")
                return distilbert_lab.build_model(self.device, self.sizes, _vocabulary(), **NO_DROPOUT).train()
            shape = architectures.find(self.sizes.model)
            base = seeded.build(self.device, shape, self.case.precision, extra_bytes=self.beside_bytes)
            base.is_quantized = False  # Trainer would ask for the quantizer of a checkpoint, and there is none
            rank = self.sizes.rank
            adapters = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM")
            return get_peft_model(base, adapters).train()

    def autocast(self) -> Any:
        """The course trains 32-bit weights and computes in 16 bits; the others hold what they compute in."""
        import torch

        if self.classifies and self.compute == "bf16":
            return torch.autocast(self.device.kind, dtype=torch.bfloat16)
        return contextlib.nullcontext()


def find(device: Device, profile: Profile, case: Case) -> Setup:
    """The set-up of a case with the sizes of a profile."""
    return _course(device, profile, case) if case.setting == COURSE else _causal(device, profile, case)


def _vocabulary() -> int:
    return len(text.tokenizer())


def _course(device: Device, profile: Profile, case: Case) -> Setup:
    sizes: Lab = profile.workloads.lab
    batches = lora_batches.classified(sizes.batch, sizes.length, _vocabulary())
    tokens = lora_batches.tokens(batches[0])
    parameters = sizes.layers * sizes.hidden * (4 * sizes.hidden + 2 * sizes.intermediate)
    held = 4.0 * (parameters + sizes.hidden * (_vocabulary() + sizes.length + 4 * sizes.hidden))
    kept = ACTIVATIONS * 4.0 * sizes.batch * sizes.length * sizes.hidden * sizes.layers + allocation.GIB / 4
    cost = rooflines.lora_encoder(sizes, case.precision, tokens)
    compute, flops = case.precision, 4.0 * parameters * tokens
    return Setup(device, case, compute, batches, sizes.learning_rate, cost, flops, held, kept, sizes)


def _causal(device: Device, profile: Profile, case: Case) -> Setup:
    sizes = getattr(profile.workloads.lora, case.setting)
    shape = architectures.find(sizes.model)
    compute = numerics.compute_precision(case.precision, device.kind)
    batches = lora_batches.prose(sizes.batch, sizes.length, shape.vocabulary)
    tokens, width = lora_batches.tokens(batches[0]), rooflines.BYTES[compute]
    logits = 3 * 4.0 * sizes.batch * sizes.length * shape.vocabulary
    kept = ACTIVATIONS * width * sizes.batch * sizes.length * shape.hidden * shape.layers + logits + allocation.GIB / 4
    cost = rooflines.lora(shape, case.precision, compute, tokens)
    flops = 4.0 * (shape.layer_parameters + shape.head_parameters) * tokens
    held = seeded.size_bytes(shape, case.precision, compute)
    return Setup(device, case, compute, batches, sizes.learning_rate, cost, flops, held, kept, sizes)
