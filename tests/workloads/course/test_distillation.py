"""The distillation loss is the KL divergence by hand, and both models are timed in turn, a whole pass at a time."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")
pytest.importorskip("transformers", reason="the workloads need transformers: make setup")

from dgxcert.machine.device import Device
from dgxcert.profiles.workload_sizes import Distillation
from dgxcert.workloads.course import distillation

pytestmark = pytest.mark.filterwarnings("ignore")  # what torch and transformers warn about is not tested here

CPU = Device("cpu", 0, "CPU")
WIDTHS = {"hidden": 128, "heads": 4, "intermediate": 512}
SIZES = Distillation(**WIDTHS, teacher_layers=8, student_layers=4, batch=8, length=64)


def test_teacher_and_student_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    layers: list[int] = []

    def note(device: Device, model: Any, ids: Any) -> float:
        layers.append(model.config.num_hidden_layers)
        return 1e-3 * model.config.num_hidden_layers

    monkeypatch.setattr(distillation, "_forward_s", note)
    assert distillation.speeds(CPU, SIZES).ratio == 2.0
    assert layers == [SIZES.teacher_layers, SIZES.student_layers] * (SIZES.rounds + 2)


def test_a_time_is_that_of_a_whole_forward_pass() -> None:
    teacher, _ = distillation.models(CPU, SIZES)
    with torch.inference_mode():
        assert 1e-4 < distillation._forward_s(CPU, teacher, distillation.random_ids(CPU, SIZES)) < 60


def test_the_loss_is_the_kl_divergence_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 5, generator=generator).double() for _ in range(2))
    t = distillation.TEMPERATURE
    p, q = (teacher / t).softmax(-1), (student / t).softmax(-1)
    by_hand = float((p * (p / q).log()).sum(-1).mean() * t**2)
    assert float(distillation.loss(student, teacher)) == pytest.approx(by_hand)
    assert float(distillation.loss(teacher, teacher)) == pytest.approx(0, abs=1e-12)
