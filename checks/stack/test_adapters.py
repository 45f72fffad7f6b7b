"""Adapters: PEFT attaches LoRA, only the adapters are trained, and merging them keeps the model's output."""

from dgxcert import requirement
from dgxcert.machine.trait import Trait
from dgxcert.probes.stack import lockfile
from dgxcert.workloads import numerics
from dgxcert.workloads.stack import adapters
from dgxcert.workloads.training import gradients

TORCHAO = Trait.NATIVE.only(
    "If the error names torchao, without which peft works, in `make shell`: python -m pip uninstall -y torchao"
)


@requirement(
    "PEFT-LORA",
    title="LoRA adapters are attached, trained alone and merged",
    why="The course's fine-tuning lab trains LoRA adapters: one that is not attached, or not merged, raises no error.",
    remedy=(
        "Run `make validate ONLY=ATTENTION-CORRECT,GRADIENTS-CORRECT` if gradients are wrong: their kernels err.",
        "Print the versions, in `make shell`: python -c 'import peft, transformers; print(peft.__version__, "
        "transformers.__version__)'",
        *lockfile.RESTORE,
        TORCHAO,
    ),
    takes_s=1,
    budget_s=180,
)
def test_lora_is_attached_trained_alone_and_merged(device, profile, evidence):
    evidence.advise(*lockfile.advice(), TORCHAO)
    lora = adapters.run(device)
    source = f"PEFT's LoRA of rank {adapters.RANK} on a Llama of 2 layers, fp32 on {device.name}"
    one_step = f"{source}, one step"
    trainable = evidence.record("trainable parameters", lora.trainable, source=source)
    without_gradient = evidence.record("adapters without a gradient", lora.without_gradient, source=one_step)
    others = evidence.record("other weights with a gradient", lora.others_with_gradient, source=one_step)
    angle, size = gradients.record(evidence, lora.gradients)
    moved = evidence.record("change by the adapters", lora.moved, unit="std of logits", source=source)
    merge = evidence.record("change by merging", lora.merge_difference, unit="std of logits", source=source)
    assert trainable == lora.expected
    assert without_gradient == 0
    assert others == 0
    assert angle <= profile.limit("training.direction.fp32")
    assert size.within(profile.limit("training.size.fp32"))
    assert moved.within(adapters.MOVED)
    assert merge.within(numerics.path_tolerance("fp32"))
