"""COURSE-CLASSIFICATION: each comparison fails alone, and faults planted in softmax, the head and labels are caught."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.course import classification
from dgxcert.workloads.course.classification import Classification
from dgxcert.workloads.models import encoders

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here

CHECKS = check_file.load("course/test_classification")
CLASSIFICATION = CHECKS.test_hidden_states_become_logits_probabilities_and_labels
RIGHT = Classification(4, 1e-7, 1e-7, 0)


def test_a_healthy_classification_passes(
    monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device
) -> None:
    monkeypatch.setattr(classification, "run", lambda device: RIGHT)
    passes(CLASSIFICATION, cpu)


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"logits_error": 0.1}, "error of the logits"),
        ({"sum_error": 0.1}, "error of the sum of probabilities"),
        ({"mislabelled": 1}, "labels that are not the largest logit's"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, wrong: dict[str, Any], by: str
) -> None:
    monkeypatch.setattr(classification, "run", lambda device: dataclasses.replace(RIGHT, **wrong))
    fails(CLASSIFICATION, cpu, by=by)


@pytest.mark.usefixtures("torch")
def test_transformers_classification_passes(passes: Callable[..., Recorder], cpu: Device) -> None:
    passes(CLASSIFICATION, cpu)


def test_a_softmax_that_does_not_sum_to_one_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], torch: ModuleType, cpu: Device
) -> None:
    original = torch.softmax
    monkeypatch.setattr(torch, "softmax", lambda *values, **options: original(*values, **options) * 0.99)
    fails(CLASSIFICATION, cpu, by="error of the sum of probabilities")


@pytest.mark.usefixtures("torch")
def test_a_head_without_relu_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    from torch.nn import functional

    monkeypatch.setattr(functional, "relu", lambda values, inplace=False: values)
    fails(CLASSIFICATION, cpu, by="error of the logits")


@pytest.mark.usefixtures("torch")
def test_labels_in_another_order_are_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    original = encoders.build

    def mislabelled(*args: Any) -> Any:
        model = original(*args)
        model.config.id2label = {0: "arithmetic", 1: "bandwidth", 2: "memory"}
        return model

    monkeypatch.setattr(encoders, "build", mislabelled)
    fails(CLASSIFICATION, cpu, by="labels that are not the largest logit's")
