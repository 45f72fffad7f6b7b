"""Course padding: a tokenizer's input_ids and attention_mask are right, and padding changes no answer."""

import pytest

from dgxcert import requirement
from dgxcert.workloads import numerics
from dgxcert.workloads.course import padding


@requirement(
    "COURSE-PADDING",
    why="Texts of a batch are padded to one length: where the mask is ignored, each answer depends on its neighbours.",
    remedy=(
        "Look: print the tokenizer's input_ids and attention_mask for two texts with padding=True.",
        "In a notebook: pass attention_mask to the model beside input_ids; to generate, set padding_side='left'.",
        "Try plain attention: attn_implementation='eager' in from_pretrained. Right there: see ATTENTION-CORRECT.",
        "Install the stack as it is pinned: make setup; or use the container.",
    ),
    tier="standard",
    takes_s=1,
    budget_s=240,
)
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_changes_no_answer(device, side, evidence):
    found = padding.compare(device, side)
    source = (
        f"logits at the real positions of {len(padding.TEXTS)} texts, alone and padded on the {side}, {device.name}"
    )
    unit = "std of logits"
    marks = f"{found.places} token ids and marks"
    misplaced = evidence.record("wrong token ids and marks", found.misplaced, source=marks)
    evidence.record("difference without the mask", found.without_mask, unit=unit, source=f"{source}; the control")
    masked = evidence.record("difference with the mask", found.with_mask, unit=unit, source=source)
    assert misplaced == 0
    assert masked.within(numerics.path_tolerance("fp32"))
    found.require_sight()
