"""COURSE-NO-GRAD: each comparison fails alone, and a `no_grad` or a module that does not do its work is caught."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import pytest
from suites.planted import no_grad_without_effect

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.course import no_grad
from dgxcert.workloads.course.no_grad import EXPECTED_BYTES, Pass, Passes

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns about is not tested here

NO_GRAD = check_file.load("course/test_no_grad").test_no_grad_builds_no_graph_and_keeps_no_activations
RIGHT = Passes(Pass(True, True, EXPECTED_BYTES), Pass(False, False, 0), "hooks")


def test_healthy_passes_pass(monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device) -> None:
    monkeypatch.setattr(no_grad, "compare", lambda device: RIGHT)
    passes(NO_GRAD, cpu)


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"with_grad": Pass(False, True, EXPECTED_BYTES)}, "graph without no_grad"),
        ({"with_grad": Pass(True, True, EXPECTED_BYTES // 2)}, "activations kept"),
        ({"with_grad": Pass(True, True, EXPECTED_BYTES * 2)}, "activations kept"),
        ({"no_grad": Pass(True, False, 0)}, "no graph under no_grad"),
        ({"no_grad": Pass(False, True, 0)}, "output requires no gradient"),
        ({"no_grad": Pass(False, False, EXPECTED_BYTES // 7)}, "activations kept under no_grad"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, wrong: dict[str, Any], by: str
) -> None:
    monkeypatch.setattr(no_grad, "compare", lambda device: dataclasses.replace(RIGHT, **wrong))
    fails(NO_GRAD, cpu, by=by)


@pytest.mark.usefixtures("torch")
def test_torchs_no_grad_passes(passes: Callable[..., Recorder], cpu: Device) -> None:
    passes(NO_GRAD, cpu)


def test_a_no_grad_without_effect_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], torch: ModuleType, cpu: Device
) -> None:
    monkeypatch.setattr(torch, "no_grad", no_grad_without_effect(torch.no_grad))
    fails(NO_GRAD, cpu, by="no graph under no_grad")


def test_a_module_that_never_builds_a_graph_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], torch: ModuleType, cpu: Device
) -> None:
    original = torch.nn.Sequential.forward
    monkeypatch.setattr(torch.nn.Sequential, "forward", lambda self, rows: original(self, rows).detach())
    fails(NO_GRAD, cpu, by="graph without no_grad")
