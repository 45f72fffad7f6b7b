"""Training together passes where all ranks compute what one device would, and each comparison fails alone."""

import dataclasses
from types import ModuleType
from typing import Any

import check_file
import pytest

pytest.importorskip("torch", reason="the workloads need torch: make setup")

from suites.judged import judge

from dgxcert.machine.device import Device
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.training.data_parallel import comparison
from dgxcert.workloads.training.data_parallel.comparison import Apart, Comparison
from dgxcert.workloads.training.data_parallel.differing import Differing
from dgxcert.workloads.training.gradients import Agreement

DEVICES = (Device("cpu", 0, "CPU"), Device("cpu", 1, "CPU"))
ALIKE = Differing(0, 10, "SHA-256 of each on rank 0, rank 1")
UNLIKE = Differing(1, 10, "rank 1 differs from rank 0: layers.0.q_proj.lora_A")
SAME = Agreement(3e-5, "lora_A", 1.0, "lora_A", tensors=9)
RIGHT = Comparison(
    foreign_rows=ALIKE,
    start=ALIKE,
    first_loss=Apart(3e-7, "step 1 on rank 1"),
    later_loss=Apart(3e-7, "step 3 on rank 0"),
    gradients=ALIKE,
    exact=SAME,
    with_unused=(),
    end=ALIKE,
    update=SAME,
    steps=3,
    accumulated=2,
)


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return check_file.load("gpu/test_data_parallel")


@pytest.fixture(scope="module")
def profile() -> Profile:
    return profiles.load("cpu")


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        (
            {
                "first_loss": Apart(1e-5, ""),
                "later_loss": Apart(1e-5, ""),
                "exact": Agreement(0.005, "A", 1.0001, "A", 9),
            },
            None,
        ),
        ({"update": Agreement(0.005, "A", 0.9999, "A", 9)}, None),
        ({"foreign_rows": UNLIKE}, "ranks with rows of another"),
        ({"start": UNLIKE}, "weights that differ at the start"),
        ({"first_loss": Apart(1.1e-5, "step 1 on rank 1")}, "difference of a rank's first loss"),
        ({"later_loss": Apart(1.1e-5, "step 3 on rank 1")}, "difference of a rank's later loss"),
        ({"gradients": UNLIKE}, "gradients that differ between ranks"),
        ({"with_unused": ("rank 1",)}, "ranks with a gradient of an unused parameter"),
        ({"exact": Agreement(0.0051, "A", 1.0, "A", 9)}, "angle to exact exchanged gradients"),
        ({"exact": Agreement(1e-5, "A", 1.0002, "A", 9)}, "size of exchanged gradients"),
        ({"exact": Agreement(1e-5, "A", 0.9998, "A", 9)}, "size of exchanged gradients"),
        ({"end": UNLIKE}, "weights that differ at the end"),
        ({"update": Agreement(0.0051, "A", 1.0, "A", 9)}, "angle to exact updates"),
        ({"update": Agreement(1e-5, "A", 1.0002, "A", 9)}, "size of updates"),
    ],
)
def test_each_comparison_of_training_together_fails_alone(
    check: ModuleType, profile: Profile, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], fault: str | None
) -> None:
    found = dataclasses.replace(RIGHT, **changed)
    monkeypatch.setattr(comparison, "run", lambda devices: found)
    evidence = judge(check.test_training_together_computes_what_one_device_computes, DEVICES, profile, fault=fault)
    for differing in changed.values():
        if isinstance(differing, Differing):
            assert evidence.violated[0][0].source == differing.where, "the rank is named"
