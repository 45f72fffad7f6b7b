"""COURSE-DROPOUT and COURSE-NORMALISATION: each comparison fails alone, and modules that ignore the mode are caught."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.course import train_eval
from dgxcert.workloads.course.train_eval import Dropout, Normalisation

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch warns about is not tested here

CHECKS = check_file.load("course/test_train_eval")
DROPOUT = CHECKS.test_dropout_is_active_only_in_training
NORMALISATION = CHECKS.test_normalisation_updates_its_statistics_only_in_training

RIGHT_DROPOUT = Dropout(0, train_eval.P, 1e-7)
RIGHT_NORMALISATION = Normalisation(1e-6, 1e-6, 1e-6, 0, 0, 1e-6)


def test_healthy_dropout_passes(monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device) -> None:
    monkeypatch.setattr(train_eval, "dropout", lambda device: RIGHT_DROPOUT)
    passes(DROPOUT, cpu)


def test_healthy_normalisation_passes(
    monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], cpu: Device
) -> None:
    monkeypatch.setattr(train_eval, "normalisation", lambda device: RIGHT_NORMALISATION)
    passes(NORMALISATION, cpu)


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"changed": 1}, "values changed in eval()"),
        ({"dropped": 0.0}, "dropped in train()"),
        ({"dropped": 0.5}, "dropped in train()"),
        ({"scale_error": 0.3}, "error of the scale in train()"),
    ],
)
def test_each_comparison_of_dropout_fails_alone(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, wrong: dict[str, Any], by: str
) -> None:
    monkeypatch.setattr(train_eval, "dropout", lambda device: dataclasses.replace(RIGHT_DROPOUT, **wrong))
    fails(DROPOUT, cpu, by=by)


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"eval_changes": 1}, "statistics changed by eval()"),
        ({"layer_differs": 1}, "LayerNorm values that differ between modes"),
        ({"batch_train": 0.1}, "BatchNorm in train()"),
        ({"batch_eval": 0.1}, "BatchNorm in eval()"),
        ({"running": 0.1}, "running statistics"),
        ({"layer": 0.1}, "LayerNorm"),
    ],
)
def test_each_comparison_of_normalisation_fails_alone(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, wrong: dict[str, Any], by: str
) -> None:
    result = dataclasses.replace(RIGHT_NORMALISATION, **wrong)
    monkeypatch.setattr(train_eval, "normalisation", lambda device: result)
    fails(NORMALISATION, cpu, by=by)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("check", [DROPOUT, NORMALISATION], ids=["dropout", "normalisation"])
def test_torchs_modules_pass(passes: Callable[..., Recorder], cpu: Device, check: Callable[..., None]) -> None:
    passes(check, cpu)


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize(
    ("active", "by"), [(True, "values changed in eval()"), (False, "dropped in train()")], ids=["always", "never"]
)
def test_a_dropout_that_ignores_the_mode_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device, active: bool, by: str
) -> None:
    from torch.nn import functional

    original = functional.dropout
    monkeypatch.setattr(
        functional, "dropout", lambda values, p, training, inplace: original(values, p, active, inplace)
    )
    fails(DROPOUT, cpu, by=by)


@pytest.mark.usefixtures("torch")
def test_a_dropout_without_scaling_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    from torch.nn import functional

    original = functional.dropout

    def unscaled(values: Any, p: float, training: bool, inplace: bool) -> Any:
        return original(values, p, training, inplace) * (1 - p if training else 1)

    monkeypatch.setattr(functional, "dropout", unscaled)
    fails(DROPOUT, cpu, by="error of the scale in train()")


def test_an_eval_that_does_not_reach_inner_modules_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], torch: ModuleType, cpu: Device
) -> None:
    monkeypatch.setattr(torch.nn.Module, "eval", lambda self: self)
    fails(DROPOUT, cpu, by="values changed in eval()")
    fails(NORMALISATION, cpu, by="statistics changed by eval()")


@pytest.mark.usefixtures("torch")
def test_a_batch_normalisation_that_ignores_its_statistics_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], cpu: Device
) -> None:
    from torch.nn import functional

    original = functional.batch_norm

    def by_batch(values: Any, mean: Any, variance: Any, *rest: Any) -> Any:
        weight, bias, training, *others = rest
        statistics = (mean, variance) if training else (None, None)
        return original(values, *statistics, weight, bias, True, *others)

    monkeypatch.setattr(functional, "batch_norm", by_batch)
    fails(NORMALISATION, cpu, by="BatchNorm in eval()")


def test_a_layer_normalisation_that_depends_on_the_mode_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], torch: ModuleType, cpu: Device
) -> None:
    original = torch.nn.LayerNorm.forward
    monkeypatch.setattr(torch.nn.LayerNorm, "forward", lambda self, rows: original(self, rows) * (2 - self.training))
    fails(NORMALISATION, cpu, by="LayerNorm values that differ between modes")
