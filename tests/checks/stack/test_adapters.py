"""Adapters: LoRA must be attached, trained alone, and merged without a change."""

import dataclasses
from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.stack import adapters

CHECK = check_file.load("stack/test_adapters").test_lora_is_attached_trained_alone_and_merged
HEALTHY = adapters.AdaptedModel(1536, 1536, 0, 0, 1e-6, 2.4)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"trainable": 1537}, "trainable parameters"),
        ({"without_gradient": 1}, "adapters without a gradient"),
        ({"others_with_gradient": 1}, "other weights with a gradient"),
        ({"moved": 0.0}, "change by the adapters"),
        ({"merge_difference": 0.5}, "change by merging"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
    judge: Callable[..., Recorder],
    cpu: Device,
    change: dict[str, object],
    fault: str | None,
) -> None:
    monkeypatch.setattr(adapters, "run", lambda *_: dataclasses.replace(HEALTHY, **change))
    judge(CHECK, fault, cpu)
