"""Train and eval: batch normalisation is told from one with another convention of its momentum."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.course import train_eval

CPU = Device("cpu", 0, "CPU")


def test_a_momentum_of_another_convention_is_an_error_of_the_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.nn.BatchNorm1d

    def other_momentum(width: int, momentum: float, eps: float) -> torch.nn.Module:
        return original(width, momentum=1 - momentum, eps=eps)  # as Keras counts it

    right = train_eval.normalisation(CPU)
    monkeypatch.setattr(torch.nn, "BatchNorm1d", other_momentum)
    wrong = train_eval.normalisation(CPU)
    assert max(right.running, right.batch_eval) < 1e-5
    assert min(wrong.running, wrong.batch_eval) > 0.1
    assert (wrong.batch_train, wrong.layer) == (right.batch_train, right.layer)
