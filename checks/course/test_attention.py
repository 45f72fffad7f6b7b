"""Course attention: `scaled_dot_product_attention` computes the course's formula."""

import pytest

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.course import attention_by_hand


@requirement(
    "COURSE-ATTENTION",
    title="torch's attention is softmax(QK^T / sqrt(d)) V",
    why="Every transformer model computes softmax(QK^T / sqrt(d)) V in each layer: an error there corrupts all "
    "training and generation.",
    remedy=(
        "Run `make validate ONLY=ATTENTION-CORRECT`: it names the kernel that is wrong.",
        "Disable that kernel before the model is loaded: torch.backends.cuda.enable_cudnn_sdp(False), or "
        "enable_flash_sdp(False), or enable_mem_efficient_sdp(False).",
        *lockfile.RESTORE,
    ),
    takes_s=0.6,
    budget_s=180,
)
@pytest.mark.parametrize("variant", ["plain", "causal", "grouped"])
def test_attention_matches_the_formula(device, variant, evidence):
    relative_error = attention_by_hand.error(device, variant)
    precision = attention_by_hand.precision(device)
    source = f"scaled_dot_product_attention in {precision} on {device.name} compared with the formula in fp64"
    error = evidence.record(f"error of {variant} attention", relative_error, unit="relative", source=source)
    assert error.within(attention_by_hand.tolerance(device))
