"""A training whose loss does not fall, whose tensors get no gradient, or whose loss is not finite is caught by name."""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: make setup")

from dgxcert.judgement.evidence import Recorder
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.training import lora_training

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here


@pytest.mark.parametrize("path", ["stock", "tuned"])
def test_a_loss_that_does_not_fall_is_caught(
    profile: Profile, evidence: Recorder, trained: Callable[..., Any], path: str
) -> None:
    lab = profile.workloads.lab.model_copy(update={"learning_rate": 1e-9})
    slow = profile.model_copy(update={"workloads": profile.workloads.model_copy(update={"lab": lab})})
    training = trained(slow, f"fp32-{path}-course")
    with pytest.raises(Wrong):
        training.verify(evidence)
    assert [quantity.name for quantity, _ in evidence.violated] == ["loss after training"]


@pytest.mark.parametrize("path", ["stock", "tuned"])
def test_a_tensor_without_a_gradient_is_caught_by_name(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, evidence: Recorder, trained: Callable[..., Any], path: str
) -> None:
    monkeypatch.setattr(lora_training, "is_usable", lambda gradient: gradient is not None and gradient.shape[0] != 16)
    training = trained(profile, f"fp32-{path}-course")
    with pytest.raises(Wrong):
        training.verify(evidence)
    assert evidence.violated[0][0].name == "tensors without a gradient"
    assert "lora_A" in evidence.kept[0].source


@pytest.mark.parametrize("step", [0, 2, 5, 7])
def test_a_loss_that_is_not_finite_is_caught_at_any_step(
    profile: Profile, evidence: Recorder, trained: Callable[..., Any], step: int
) -> None:
    training = trained(profile, "fp32-tuned-course")
    training.losses[step] = torch.tensor(float("nan"))
    with pytest.raises(Wrong):
        training.verify(evidence)
    assert evidence.violated[0][0].name == "losses are finite"


def test_a_training_whose_gradients_were_not_checked_is_inconclusive(
    profile: Profile, evidence: Recorder, trained: Callable[..., Any]
) -> None:
    training = trained(profile, "fp32-stock-course")
    training.no_gradient = None
    with pytest.raises(Inconclusive, match="no gradient could be checked"):
        training.verify(evidence)
