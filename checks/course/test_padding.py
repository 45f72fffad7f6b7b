"""Course padding: a tokenizer's input_ids and attention_mask are right, and padding does not change the logits."""

import pytest

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads import numerics
from dgxcert.workloads.course import padding


@requirement(
    "COURSE-PADDING",
    title="Padding does not change a model's answers",
    why="The texts of a batch are padded to one length: where a model ignores the attention mask, each answer depends "
    "on the other texts of its batch.",
    remedy=(
        "Print the tokenizer's input_ids and attention_mask of two texts with padding=True.",
        "Pass attention_mask to the model together with input_ids; to generate, set padding_side='left'.",
        "Load the model with attn_implementation='eager'. If that is right, run "
        "`make validate ONLY=ATTENTION-CORRECT`.",
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=0.4,
    budget_s=240,
)
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_does_not_change_the_logits(device, side, evidence):
    result = padding.compare(device, side)
    texts = f"{len(padding.TEXTS)} texts, alone and padded on the {side}, on {device.name}"
    source, unit = f"logits of the real tokens of {texts}", "std of logits"
    inputs = f"{result.values} values of input_ids and attention_mask"
    wrong = evidence.record("wrong token ids and mask values", result.wrong_values, source=inputs)
    evidence.record("difference without the mask", result.without_mask, unit=unit, source=f"{source}; the control")
    masked = evidence.record("difference with the mask", result.with_mask, unit=unit, source=source)
    assert wrong == 0
    assert masked.within(numerics.path_tolerance("fp32"))
    result.require_sensitivity()
