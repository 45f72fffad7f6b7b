"""Rooflines follow from the model's real bytes and operations, as the published arithmetic has them."""

import pytest

from dgxcert.judgement.limit import Bound
from dgxcert.outcome import Inconclusive
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.hardware import rooflines
from dgxcert.workloads.hardware.rooflines import Cost, Peaks
from dgxcert.workloads.models import architectures

LLAMA_8B = architectures.find("llama-3.1-8b")


def peaks(gb_s: float, tflop_s: float) -> Peaks:
    return Peaks(Bound(value=gb_s, unit="GB/s", source="test"), Bound(value=tflop_s, unit="TFLOP/s", source="test"))


@pytest.mark.parametrize(
    ("precision", "gb_s", "token_s"), [("bf16", 273, 17.9), ("bf16", 4800, 314), ("nf4", 273, 52), ("nf4", 4800, 915)]
)
def test_decode_of_8b_at_context_2048_is_bound_by_bandwidth(precision: str, gb_s: float, token_s: float) -> None:
    bound = rooflines.decode(LLAMA_8B, precision, "bf16", 2048).bound(1, "token/s", peaks(gb_s, 1e6))
    assert bound.value == pytest.approx(token_s, rel=0.03)
    assert "GB/s" in bound.source


def test_prefill_of_8b_is_bound_by_matmul() -> None:
    bound = rooflines.prefill(LLAMA_8B, "bf16", "bf16", 2048).bound(2048, "token/s", peaks(273, 147.6))
    assert bound.value == pytest.approx(147.6e12 / (2 * 6.98e9), rel=0.05)
    assert "TFLOP/s" in bound.source


def test_a_lora_step_of_8b_costs_four_operations_per_weight_and_token() -> None:
    cost = rooflines.lora(LLAMA_8B, "bf16", "bf16", 1024)
    assert cost.flops == pytest.approx(4 * 7.5e9 * 1024, rel=0.01)


def test_the_slower_of_both_peaks_bounds() -> None:
    assert Cost(bytes=1e9, flops=1e12).bound(1, "step/s", peaks(1, 1000)).value == pytest.approx(1)
    assert Cost(bytes=1e9, flops=1e12).bound(1, "step/s", peaks(1000, 1)).value == pytest.approx(1)


def test_counted_operations_agree_with_torchs_own_counter() -> None:
    torch = pytest.importorskip("torch", reason="counting needs torch: make setup")
    from torch.utils.flop_counter import FlopCounterMode

    from dgxcert.machine.device import Device
    from dgxcert.workloads.models import seeded

    shape = architectures.find("llama-tiny")
    model = seeded.build(Device("cpu", 0, "CPU"), shape, "fp32")
    model.set_attn_implementation("eager")  # the counter does not see into fused attention
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros(1, 128, dtype=torch.long), logits_to_keep=1)
    counted = counter.get_total_flops()
    claimed = rooflines.prefill(shape, "fp32", "fp32", 128).flops
    assert 0.95 * counted < claimed <= counted  # a bound must not claim more than the work takes


def test_counted_operations_of_a_decoding_step_agree_with_torchs_own_counter() -> None:
    torch = pytest.importorskip("torch", reason="counting needs torch: make setup")
    from torch.utils.flop_counter import FlopCounterMode

    from dgxcert.machine.device import Device
    from dgxcert.workloads.models import seeded

    shape, context, batch = architectures.find("llama-tiny"), 128, 3
    model = seeded.build(Device("cpu", 0, "CPU"), shape, "fp32")
    model.set_attn_implementation("eager")  # the counter does not see into fused attention
    ids = torch.zeros(batch, context, dtype=torch.long)
    with torch.no_grad():
        cache = model(input_ids=ids, use_cache=True).past_key_values
        with FlopCounterMode(display=False) as counter:
            model(input_ids=ids[:, :1], past_key_values=cache, use_cache=True)
    claimed = rooflines.decode(shape, "fp32", "fp32", context, batch).flops
    assert 0.95 * counter.get_total_flops() < claimed <= counter.get_total_flops()


def test_a_peak_that_a_profile_lacks_is_no_bound() -> None:
    with pytest.raises(Inconclusive, match="no physical peak"):
        Peaks.of(profiles.load("cpu"), "fp16")
