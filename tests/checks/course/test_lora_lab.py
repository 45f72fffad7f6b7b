"""COURSE-LORA-LAB: each comparison fails alone, and faults planted in the lab's model and optimizer are caught."""

import dataclasses
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import check_file
import pytest
from suites.wrong_backward import plant_negated_queries

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.identity import Machine
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.course import distilbert_lab
from dgxcert.workloads.course.distilbert_lab import LabResult
from dgxcert.workloads.training.gradients import Agreement

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here

LAB = check_file.load("course/test_lora_lab").test_the_lora_lab_of_the_course_trains
EXACT = Agreement(angle_deg=1e-4, angle_at="layer.1.lora_A", size=1.0, size_at="layer.0.lora_B", tensors=12)
RIGHT = LabResult([], 12, [], 40, [], EXACT, "fp32", [0.7] * 20 + [0.1] * 20)


def test_a_healthy_lab_passes(
    monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], profile: Profile, machine: Machine
) -> None:
    monkeypatch.setattr(distilbert_lab, "train", lambda device, sizes: RIGHT)
    passes(LAB, profile, machine)


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ({"misplaced": ["distilbert.embeddings"]}, "tensors wrongly trained or frozen"),
        ({"no_gradient": ["lora_A"]}, "tensors without a gradient"),
        ({"changed": ["distilbert.embeddings"]}, "frozen tensors that changed"),
        ({"gradients": dataclasses.replace(EXACT, angle_deg=0.1)}, "angle to exact gradients"),
        ({"gradients": dataclasses.replace(EXACT, size=0.99)}, "size of gradients"),
        ({"gradients": dataclasses.replace(EXACT, size=1.01)}, "size of gradients"),
        ({"losses": [0.7] * 40}, "loss at the end"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    profile: Profile,
    machine: Machine,
    wrong: dict[str, Any],
    by: str,
) -> None:
    monkeypatch.setattr(distilbert_lab, "train", lambda device, sizes: dataclasses.replace(RIGHT, **wrong))
    fails(LAB, profile, machine, by=by)


@pytest.mark.usefixtures("torch")
def test_the_lab_of_the_profile_trains_and_restores_the_process(
    passes: Callable[..., Recorder], profile: Profile, machine: Machine
) -> None:
    from accelerate.state import AcceleratorState, PartialState

    pytest.importorskip(
        "peft", reason="the lab needs peft: make setup"
    )  # its import sets variables of torch's compiler
    before = dict(os.environ)
    evidence = passes(LAB, profile, machine)
    assert dict(os.environ) == before
    assert (AcceleratorState._shared_state, PartialState._shared_state) == ({}, {})
    layers = profile.workloads.lab.layers
    assert f"{4 * layers + 4} tensors train" in evidence.kept[0].source


@pytest.mark.catches(
    "COURSE-LORA-LAB",
    "attention whose gradient of the queries is negated, or of one adapter halved, in the first two steps of fp32",
    unseen="what only shows with dropout, which is off in those steps; in bf16 what turns them by less than 40 degrees",
)
@pytest.mark.usefixtures("torch")
def test_attention_that_is_wrong_backward_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], short: Profile, machine: Machine
) -> None:
    plant_negated_queries(monkeypatch)
    evidence = fails(LAB, short, machine, by="angle to exact gradients")
    assert "attention.q_lin" in evidence.violated[0][0].source


@pytest.mark.usefixtures("torch")
def test_an_adapter_whose_gradient_is_halved_is_caught_in_the_second_step(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], short: Profile, machine: Machine
) -> None:
    change_built_model(
        monkeypatch, lambda model: parameter(model, "lora_A").register_hook(lambda gradient: gradient / 2)
    )
    evidence = fails(LAB, short, machine, by="size of gradients")
    assert "lora_A" in evidence.violated[0][0].source.rpartition("worst at")[2]


@pytest.mark.usefixtures("torch")
def test_dropout_is_back_after_the_steps_that_are_compared(
    monkeypatch: pytest.MonkeyPatch, passes: Callable[..., Recorder], profile: Profile, machine: Machine
) -> None:
    models: list[Any] = []
    change_built_model(monkeypatch, models.append)
    passes(LAB, profile, machine)
    encoder = models[0].base_model.model.distilbert
    assert (encoder.embeddings.dropout.p, encoder.transformer.layer[0].attention.dropout_prob) == (0.1, 0.1)


def test_an_optimizer_that_does_not_step_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    torch: ModuleType,
    short: Profile,
    machine: Machine,
) -> None:
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, closure=None: None)
    monkeypatch.setattr(distilbert_lab, "is_usable", lambda gradient: True)  # with B still zero, A's gradients are too
    fails(LAB, short, machine, by="loss at the end")


def change_built_model(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]) -> None:
    """Make the lab train a model that was changed after it was built."""
    original = distilbert_lab.build_model

    def changed(*args: Any) -> Any:
        model = original(*args)
        change(model)
        return model

    monkeypatch.setattr(distilbert_lab, "build_model", changed)


def parameter(model: Any, words: str) -> Any:
    return next(values for name, values in model.named_parameters() if words in name)


@pytest.mark.usefixtures("torch")
def test_a_base_model_that_is_trained_too_is_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], short: Profile, machine: Machine
) -> None:
    change_built_model(monkeypatch, lambda model: parameter(model, "word_embeddings").requires_grad_(True))
    evidence = fails(LAB, short, machine, by="tensors wrongly trained or frozen")
    assert "word_embeddings" in evidence.kept[0].source


@pytest.mark.usefixtures("torch")
def test_adapters_that_are_not_trained_are_caught(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[..., Recorder], short: Profile, machine: Machine
) -> None:
    change_built_model(monkeypatch, lambda model: parameter(model, "lora_B").requires_grad_(False))
    fails(LAB, short, machine, by="tensors wrongly trained or frozen")


def test_gradients_that_are_lost_are_caught_by_name(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    torch: ModuleType,
    short: Profile,
    machine: Machine,
) -> None:
    change_built_model(monkeypatch, lambda model: parameter(model, "lora_B").register_hook(torch.zeros_like))
    evidence = fails(LAB, short, machine, by="tensors without a gradient")
    assert "lora_B" in evidence.kept[1].source


def test_a_frozen_weight_that_changes_is_caught_by_name(
    monkeypatch: pytest.MonkeyPatch,
    fails: Callable[..., Recorder],
    torch: ModuleType,
    short: Profile,
    machine: Machine,
) -> None:
    def flip_bits_while_training(model: Any) -> None:
        frozen = parameter(model, "position_embeddings")

        def flip(*_: Any) -> None:
            frozen.data.view(torch.int32)[0, 0] += 1

        model.base_model.model.classifier.register_forward_hook(flip)

    change_built_model(monkeypatch, flip_bits_while_training)
    evidence = fails(LAB, short, machine, by="frozen tensors that changed")
    assert "position_embeddings" in evidence.kept[2].source
