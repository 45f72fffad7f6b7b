"""Adapters: LoRA must be attached, trained alone, and merged without a change."""

import dataclasses
from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.stack import adapters
from dgxcert.workloads.training.gradients import Agreement

CHECK = check_file.load("stack/test_adapters").test_lora_is_attached_trained_alone_and_merged
EXACT = Agreement(angle_deg=1e-4, angle_at="layers.1.lora_A", size=1.0, size_at="layers.0.lora_B", tensors=8)
HEALTHY = adapters.AdaptedModel(1536, 1536, 0, 0, EXACT, 1e-6, 2.4)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"trainable": 1537}, "trainable parameters"),
        ({"without_gradient": 1}, "adapters without a gradient"),
        ({"others_with_gradient": 1}, "other weights with a gradient"),
        ({"gradients": dataclasses.replace(EXACT, angle_deg=0.1)}, "angle to exact gradients"),
        ({"gradients": dataclasses.replace(EXACT, size=0.99)}, "size of gradients"),
        ({"gradients": dataclasses.replace(EXACT, size=1.01)}, "size of gradients"),
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
    judge(CHECK, fault, cpu, profiles.load("cpu"))
