"""The tuned Llama runs on the model's own weights, without a copy."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.inference import static_llama
from dgxcert.workloads.models import architectures, seeded

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]

CPU = Device("cpu", 0, "CPU")


def test_joined_matrices_are_the_weights_of_the_model() -> None:
    model = seeded.build(CPU, architectures.find("llama-tiny"), "fp32")
    before = sum(
        each.untyped_storage().nbytes()
        for each in {p.untyped_storage().data_ptr(): p for p in model.parameters()}.values()
    )
    tuned = static_llama.StaticLlama(model, CPU, "fp32", 1, 16, compiled=False)
    first = tuned._layers[0].qkv_proj[0]
    assert (
        model.model.layers[0].self_attn.q_proj.weight.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
    )
    after = sum({p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}.values())
    assert after == before
