"""Adapters: PEFT attaches LoRA, only LoRA learns, and a merge changes no answer."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads import numerics
from dgxcert.workloads.stack import adapters


@requirement(
    "PEFT-LORA",
    why="The course's fine-tuning lab trains LoRA: what is not attached, or not merged, raises no error.",
    remedy=(
        "Look: python -c 'import peft, transformers; print(peft.__version__, transformers.__version__)'",
        "Install the stack as it is pinned: make clean setup; or use the container: make validate",
        "peft refuses beside an old torchao: python -m pip uninstall torchao",
    ),
    takes_s=4,
    budget_s=180,
)
def test_lora_is_attached_learns_alone_and_merges(device, evidence):
    evidence.advise(*lockfile.advice("peft", "transformers"))
    found = adapters.run(device)
    how = f"PEFT's LoRA of rank {adapters.RANK} on a Llama of 2 layers, fp32 on {device.name}"
    trainable = evidence.record("trainable parameters", found.trainable, source=how)
    still = evidence.record("adapters without a gradient", found.without_gradient, source=f"{how}, one step")
    others = evidence.record("other weights with a gradient", found.others_with_gradient, source=f"{how}, one step")
    moved = evidence.record("what adapters change", found.moved, unit="std of logits", source=how)
    merge = evidence.record("change by merging", found.merge_difference, unit="std of logits", source=how)
    assert trainable == found.expected
    assert still == 0
    assert others == 0
    assert moved.within(adapters.MOVED)
    assert merge.within(numerics.path_tolerance("fp32"))
