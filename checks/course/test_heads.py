"""Course heads: attention by hand is torch's attention, and a classification head gives what it gives by hand."""

import pytest

from dgxcert import requirement
from dgxcert.workloads import numerics
from dgxcert.workloads.course import attention_by_hand, classification

INSTALL_ANEW = "Install the stack as it is pinned: make setup; or use the container."


@requirement(
    "COURSE-ATTENTION",
    why="Attention is softmax(QK^T / sqrt(d)) V in every transformer: another answer spoils all of it.",
    remedy=(
        "Look: ATTENTION-CORRECT names the kernel that is wrong: dgxcert validate --only ATTENTION-CORRECT",
        "Work without that kernel: call torch.backends.cuda.enable_cudnn_sdp(False), or enable_flash_sdp, or "
        "enable_mem_efficient_sdp, before the model is loaded.",
        INSTALL_ANEW,
    ),
    takes_s=0.5,
    budget_s=180,
)
@pytest.mark.parametrize("variant", ["plain", "causal", "grouped"])
def test_attention_by_hand_is_torchs_attention(device, variant, evidence):
    found = attention_by_hand.error(device, variant)
    kind = attention_by_hand.precision(device)
    source = f"scaled_dot_product_attention in {kind} on {device.name} against the formula by hand in fp64"
    error = evidence.record(f"error of {variant} attention", found, unit="relative", source=source)
    assert error.within(attention_by_hand.tolerance(device))


@requirement(
    "COURSE-CLASSIFICATION",
    why="A classifier is a head on hidden states: logits, probabilities and labels must follow from them step by step.",
    remedy=(
        "Look: print(outputs.logits.softmax(-1).sum(-1)) of a model of your own must print ones.",
        "See KERNEL-CORRECT and MATMUL-CORRECT: wrong products or a wrong softmax show there too.",
        INSTALL_ANEW,
    ),
    tier="standard",
    takes_s=6,
    budget_s=240,
)
def test_hidden_states_become_logits_probabilities_and_a_label(device, evidence):
    found = classification.run(device)
    source = f"DistilBertForSequenceClassification of {found.texts} texts on {device.name}"
    by_hand = f"{source}, against its head in fp64 by hand"
    logits = evidence.record("error of the logits", found.logits_error, unit="relative", source=by_hand)
    total = evidence.record("sum of probabilities less one", found.sum_error, source=f"{source}, the farthest")
    labels = evidence.record("labels that are not the largest logit's", found.mislabelled, source="pipeline()")
    assert logits.within(numerics.product_tolerance("fp32"))
    assert total.within(classification.SUM)
    assert labels == 0
