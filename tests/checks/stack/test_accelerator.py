"""Accelerate: another device fails, and so does a missing part of its own test."""

import dataclasses
from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.stack import accelerator

CHECK = check_file.load("stack/test_accelerator").test_accelerate_selects_the_device_and_passes_its_own_test
HEALTHY = accelerator.SelfTest("cpu", 1, ", ".join(accelerator.PARTS))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"device": "cuda:0"}, "device of accelerate"),
        ({"parts": accelerator.PARTS[0]}, "parts of its own test"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
    judge: Callable[..., Recorder],
    cpu: Device,
    change: dict[str, object],
    fault: str | None,
) -> None:
    monkeypatch.setattr(accelerator, "run", lambda *_: dataclasses.replace(HEALTHY, **change))
    judge(CHECK, fault, cpu)
