"""A device without memory of its own has no transfers."""

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import transfer

CPU = Device("cpu", 0, "CPU")


def test_a_cpu_has_nothing_to_transfer_to(profile: Profile) -> None:
    with pytest.raises(Inconclusive, match="no memory of its own"):
        transfer.prepare(CPU, profile, "to_device")
