"""The tolerance of attention depends on the precision that models run in on a device."""

from dgxcert.machine.device import Device
from dgxcert.workloads.course import attention_by_hand


def test_each_kind_of_device_has_a_tolerance() -> None:
    assert attention_by_hand.tolerance(Device("cpu", 0, "CPU")).max == 1e-4
    assert attention_by_hand.tolerance(Device("cuda", 0, "GPU")).max == 1e-2
