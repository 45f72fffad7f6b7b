"""COURSE-STUDENT-SPEED and COURSE-DISTILLATION: each comparison fails alone, and a training that cannot work fails."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import pytest
from suites.planted import no_grad_without_effect
from suites.wrong_backward import plant_negated_queries

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.course import distillation
from dgxcert.workloads.course.distillation import Speeds, Step
from dgxcert.workloads.training.gradients import Agreement

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here

CHECKS = check_file.load("course/test_distillation")
SPEED = CHECKS.test_the_student_is_faster_than_its_teacher
DISTILLATION = CHECKS.test_one_step_of_distillation_brings_the_student_closer

RIGHT_SPEEDS = Speeds((1.9, 2.0, 2.0, 2.1, 2.0), 0.2, 0.1)
EXACT = Agreement(angle_deg=1e-4, angle_at="classifier.weight", size=1.0, size_at="classifier.weight", tensors=70)
RIGHT_STEP = Step(2.0, 1.5, 0, EXACT)


def test_healthy_speeds_pass(
    monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device, profile: Profile
) -> None:
    monkeypatch.setattr(distillation, "speeds", lambda device, sizes: RIGHT_SPEEDS)
    passes(SPEED, cpu, profile)


def test_a_healthy_step_passes(
    monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device, profile: Profile
) -> None:
    monkeypatch.setattr(distillation, "step", lambda device, sizes: RIGHT_STEP)
    passes(DISTILLATION, cpu, profile)


def test_the_comparison_of_speeds_fails(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, profile: Profile
) -> None:
    speeds = dataclasses.replace(RIGHT_SPEEDS, ratios=(1.0, 1.1, 1.0, 1.0, 1.0))
    monkeypatch.setattr(distillation, "speeds", lambda device, sizes: speeds)
    fails(SPEED, cpu, profile, by="speed of the student")


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"after": 2.0}, "loss after one step"),
        ({"teacher_gradients": 1}, "teacher weights with a gradient"),
        ({"student_gradients": dataclasses.replace(EXACT, angle_deg=0.1)}, "angle to exact gradients"),
        ({"student_gradients": dataclasses.replace(EXACT, size=0.99)}, "size of gradients"),
        ({"student_gradients": dataclasses.replace(EXACT, size=1.01)}, "size of gradients"),
    ],
)
def test_each_comparison_of_a_step_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    cpu: Device,
    profile: Profile,
    wrong: dict[str, Any],
    by: str,
) -> None:
    monkeypatch.setattr(distillation, "step", lambda device, sizes: dataclasses.replace(RIGHT_STEP, **wrong))
    fails(DISTILLATION, cpu, profile, by=by)


def test_a_comparison_of_rounds_that_do_not_agree_is_inconclusive(
    monkeypatch: pytest.MonkeyPatch, cpu: Device, profile: Profile
) -> None:
    for ratios in ((0.5, 0.9, 2.0, 2.1, 2.2), (0.5, 0.9, 1.0, 2.1, 2.2)):
        monkeypatch.setattr(distillation, "speeds", lambda device, sizes, ratios=ratios: Speeds(ratios, 0.2, 0.1))
        with pytest.raises(Inconclusive, match="do not agree"):
            SPEED(cpu, profile, Recorder())


@pytest.mark.usefixtures("torch")
def test_a_distillation_of_transformers_models_passes(
    passes: Callable[..., Recorder], cpu: Device, profile: Profile
) -> None:
    passes(DISTILLATION, cpu, profile)


@pytest.mark.catches("COURSE-DISTILLATION", "attention whose gradient of the queries is negated, in one step of fp32")
def test_attention_that_is_wrong_backward_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    torch: ModuleType,
    cpu: Device,
    profile: Profile,
) -> None:
    plant_negated_queries(monkeypatch)
    evidence = fails(DISTILLATION, cpu, profile, by="angle to exact gradients")
    assert "attention.q_lin" in evidence.violated[0][0].source


@pytest.mark.usefixtures("torch")
def test_a_student_as_slow_as_its_teacher_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, profile: Profile
) -> None:
    ticks = iter(range(10**6))
    monkeypatch.setattr(distillation, "_forward_s", lambda device, model, ids: 1.0 + 1e-3 * (next(ticks) % 3))
    fails(SPEED, cpu, profile, by="speed of the student")


def test_an_optimizer_that_does_not_step_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    torch: ModuleType,
    cpu: Device,
    profile: Profile,
) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, closure=None: None)
    fails(DISTILLATION, cpu, profile, by="loss after one step")


def test_a_teacher_that_is_trained_too_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    torch: ModuleType,
    cpu: Device,
    profile: Profile,
) -> None:
    monkeypatch.setattr(torch, "no_grad", no_grad_without_effect(torch.no_grad))
    fails(DISTILLATION, cpu, profile, by="teacher weights with a gradient")
