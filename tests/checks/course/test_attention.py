"""COURSE-ATTENTION fails by its error, and faults planted in `scaled_dot_product_attention` are caught."""

from collections.abc import Callable
from typing import Any

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.course import attention_by_hand

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns about is not tested here

ATTENTION = check_file.load("course/test_attention").test_attention_matches_the_formula


def test_a_healthy_error_passes(monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device) -> None:
    monkeypatch.setattr(attention_by_hand, "error", lambda device, variant: 1e-7)
    passes(ATTENTION, cpu, "plain")


def test_the_comparison_fails_by_name(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    monkeypatch.setattr(attention_by_hand, "error", lambda device, variant: 0.3)
    fails(ATTENTION, cpu, "plain", by="error of plain attention")


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("variant", ["plain", "causal", "grouped"])
def test_torchs_attention_passes(passes: Callable[..., Recorder], cpu: Device, variant: str) -> None:
    passes(ATTENTION, cpu, variant)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize(
    ("variant", "fault"),
    [
        ("plain", {"scale": 1.0}),
        ("causal", {"is_causal": False}),
        ("plain", {"is_causal": True}),
    ],
)
def test_a_wrong_scale_or_mask_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    cpu: Device,
    variant: str,
    fault: dict[str, Any],
) -> None:
    from torch.nn import functional

    original = functional.scaled_dot_product_attention
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *values, **options: original(*values, **{**options, **fault})
    )
    fails(ATTENTION, cpu, variant, by=f"error of {variant} attention")


@pytest.mark.usefixtures("torch")
def test_query_heads_grouped_in_another_order_are_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    from torch.nn import functional

    original = functional.scaled_dot_product_attention

    def interleaved(query: Any, key: Any, value: Any, **options: Any) -> Any:
        repeats = query.shape[1] // key.shape[1]
        keys, values = key.repeat(1, repeats, 1, 1), value.repeat(1, repeats, 1, 1)
        return original(query, keys, values, is_causal=options["is_causal"])

    monkeypatch.setattr(functional, "scaled_dot_product_attention", interleaved)
    fails(ATTENTION, cpu, "grouped", by="error of grouped attention")
