"""NF4 reference: bitsandbytes' layer on the CPU computes the reference result from 4-bit weights."""

from dgxcert.machine.device import Device
from dgxcert.workloads.correctness import nf4_reference


def test_layer_on_the_cpu_computes_the_reference_result() -> None:
    layer = nf4_reference.run(Device("cpu", 0, "CPU"))
    assert layer.bits == 4
    assert layer.error < 4e-3
