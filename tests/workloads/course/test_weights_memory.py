"""A 7 B model is measured whole or with as many layers as fit, and its stand-in has its proportions."""

import dataclasses

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import memory
from dgxcert.workloads import allocation
from dgxcert.workloads.course import weights_memory
from dgxcert.workloads.course.weights_memory import WeightsMemory
from dgxcert.workloads.models import architectures

CPU = Device("cpu", 0, "CPU")
PIECE, WHOLE = architectures.find("llama-2-7b-piece"), architectures.find("llama-2-7b")


def test_a_7_b_model_is_measured_with_as_many_layers_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WHOLE.parameters == 6_738_415_616

    def layers(available_gib: float) -> int:
        monkeypatch.setattr(allocation, "_available", lambda device: memory.Usable(available_gib, "a test"))
        return weights_memory.largest_that_fits(CPU, WHOLE).layers

    assert [layers(gib) for gib in (64, 16, 6, 3.8)] == [32, 16, 4, 1]
    with pytest.raises(Inconclusive, match="1 layers of a 7 B model needs"):
        layers(2.5)


def test_the_smaller_shape_has_the_proportions_of_the_7_b_model() -> None:
    assert PIECE.intermediate / PIECE.hidden == WHOLE.intermediate / WHOLE.hidden
    assert PIECE.head_dim == WHOLE.head_dim


def test_the_source_names_the_shape_and_whether_it_is_smaller() -> None:
    piece = WeightsMemory(PIECE, False, 2 * PIECE.parameters, PIECE.layer_parameters, 7, "bytes of all tensors")
    whole = dataclasses.replace(piece, shape=WHOLE, full_size=True)
    assert "a smaller shape than 7 B" in piece.source
    assert "6.738 B parameters" in whole.source
    assert "smaller" not in whole.source
