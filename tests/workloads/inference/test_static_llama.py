"""The tuned Llama runs on the model's own weights, without a copy."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.inference import static_llama
from dgxcert.workloads.models import architectures, seeded

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]

CPU = Device("cpu", 0, "CPU")


def storage_bytes(model: Any) -> int:
    """Bytes of the storages that the parameters are views of, each counted once."""
    storages = [parameter.untyped_storage() for parameter in model.parameters()]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def test_joined_matrices_are_the_weights_of_the_model() -> None:
    model = seeded.build(CPU, architectures.find("llama-tiny"), "fp32")
    before = storage_bytes(model)
    tuned = static_llama.StaticLlama(model, CPU, "fp32", 1, 16, compiled=False)
    first = tuned._layers[0].qkv_proj[0]
    assert (
        model.model.layers[0].self_attn.q_proj.weight.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
    )
    assert storage_bytes(model) == before
