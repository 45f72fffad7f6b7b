"""A model has the size of its shape, and random weights."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.models import architectures, seeded

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch are no finding

CPU = Device("cpu", 0, "CPU")


def test_a_model_has_the_size_of_its_shape_and_is_never_zero() -> None:
    shape = architectures.find("llama-tiny")
    model = seeded.build(CPU, shape, "fp32")
    assert sum(parameter.numel() for parameter in model.parameters()) == shape.parameters
    std = float(model.lm_head.weight.std())
    assert std == pytest.approx(0.02, rel=0.02)
