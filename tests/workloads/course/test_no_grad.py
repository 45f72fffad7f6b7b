"""No grad: a CPU counts exactly the tensors of the backward pass; without memory for them it is inconclusive."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.workloads.course import no_grad

CPU = Device("cpu", 0, "CPU")


def test_a_cpu_keeps_exactly_the_bytes_by_arithmetic() -> None:
    passes = no_grad.compare(CPU)
    assert passes.with_grad.kept_share == 1
    assert passes.with_grad.graph
    assert passes.no_grad.kept_share == 0
    assert not passes.no_grad.graph


def test_a_forward_pass_that_does_not_fit_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    available = memory.Memory(total_gib=8, available_gib=0.1, swap_gib=0, swap_used_gib=0)
    monkeypatch.setattr(memory, "read", lambda: available)
    with pytest.raises(Inconclusive, match="a forward pass with its graph"):
        no_grad.compare(CPU)
