"""Packed rows give the loss of the same rows padded: none attends to another."""

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: make setup")

from dgxcert.judgement.benchmark_cases import Case
from dgxcert.machine.device import Device
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.training import lora_batches, lora_setup, packed_attention

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here


def test_packed_rows_do_not_attend_to_each_other(cpu: Device, profile: Profile) -> None:
    setup = lora_setup.find(cpu, profile, Case("fp32", "tuned", "small"))
    model, batch = setup.build(), setup.batches[0]
    with torch.no_grad():
        padded = float(model(**lora_batches.padded(batch)).loss)
        packed = float(model(**lora_batches.packed(batch), use_cache=False).loss)
        cached = float(model(**lora_batches.packed(batch), use_cache=True).loss)
        fused = float(model(**lora_batches.packed(batch), **packed_attention.options(model, setup.batches)).loss)
    assert packed == pytest.approx(padded, rel=1e-6)
    assert fused == pytest.approx(padded, rel=1e-6)
    assert abs(cached / padded - 1) > 1e-4, "with a cache they do, which is why it is off"


def test_a_mask_is_refused() -> None:
    heads = torch.zeros(1, 2, 4, 8)
    with pytest.raises(RuntimeError, match="would be ignored"):
        packed_attention.attend(None, heads, heads, heads, torch.ones(1, 1, 4, 4), row_lengths=(4,))
