"""COURSE-BF16-TENSOR: each comparison fails alone, and faults planted in `torch.randn` are caught."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.course import random_tensor
from dgxcert.workloads.course.random_tensor import Sample

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns about is not tested here

TENSOR = check_file.load("course/test_random_tensor").test_a_random_bf16_tensor_is_right
RIGHT = Sample("cpu", "bfloat16", 0.001, 0.999, 0)


def test_a_healthy_sample_passes(monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device) -> None:
    monkeypatch.setattr(random_tensor, "draw", lambda device: RIGHT)
    passes(TENSOR, cpu)


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"device": "cuda:0"}, "device of the tensor"),
        ({"dtype": "float32"}, "type of the tensor"),
        ({"mean": 0.01}, "mean"),
        ({"mean": -0.01}, "mean"),
        ({"deviation": 0.58}, "standard deviation"),
        ({"changed": 1}, "changed values"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, wrong: dict[str, Any], by: str
) -> None:
    monkeypatch.setattr(random_tensor, "draw", lambda device: dataclasses.replace(RIGHT, **wrong))
    fails(TENSOR, cpu, by=by)


@pytest.mark.usefixtures("torch")
def test_torchs_tensor_passes(passes: Callable[..., Recorder], cpu: Device) -> None:
    passes(TENSOR, cpu)


def test_numbers_of_another_distribution_are_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], torch: ModuleType, cpu: Device
) -> None:
    monkeypatch.setattr(torch, "randn", torch.rand)
    fails(TENSOR, cpu, by="mean")


def test_numbers_of_another_type_are_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], torch: ModuleType, cpu: Device
) -> None:
    original = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *sizes, dtype, **rest: original(*sizes, dtype=torch.float16, **rest))
    fails(TENSOR, cpu, by="type of the tensor")
