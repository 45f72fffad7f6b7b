"""Identity: one machine under two names, a cloned disk, and serial numbers that are none."""

import pytest

from dgxcert.machine.identity import Gpu, Machine
from dgxcert.room.comparison import identity

NONE = (
    "",
    "None",
    "N/A",
    "Not Specified",
    "Not Available",
    "To Be Filled By O.E.M.",
    "To be filled by O.E.M",
    "Default string",
    "System Serial Number",
    "Chassis Serial Number",
    "Base Board Serial Number",
    "0123456789",
    "123456789",
    "0123456789abcdef",
    "00000000",
    "0000000000000000",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "GPU-00000000-0000-0000-0000-000000000000",
    "XXXXXXXX",
    "........",
    "uninitialized",
    "[host]",
)
REAL = (
    "1423925010234",
    "PF3ABCDE",
    "GPU-5b1f0c1d-0000-0000-0000-000000000000",
    "4c4c4544-0044-4410-8052-b7c04f4d3532",
    "SHA256:uNiVztksCsDhcc0u9e8BrmXeHbrAzMX0gBlU2HFIBpo",
)


@pytest.mark.parametrize("value", NONE)
def test_what_makers_leave_is_no_identity(value: str) -> None:
    assert identity.is_placeholder(value)
    assert identity.clashes(["a", "b"], [identity.proper({"serial": value})] * 2) == ()


@pytest.mark.parametrize("value", REAL)
def test_a_real_identity_counts(value: str) -> None:
    assert not identity.is_placeholder(value)


def test_a_machine_is_identified_by_its_serial_number_and_gpus() -> None:
    gpu = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-5b1f0c1d", compute_capability="12.1")
    machine = Machine(hostname="a", serial="Default string", kernel="6", architecture="aarch64", cores=20, gpus=(gpu,))
    assert identity.of(machine) == {"GPU 0": "GPU-5b1f0c1d"}


def test_one_machine_under_two_names_is_said_to_be_one() -> None:
    both = {"machine-id": "b0f5", "SSH host key": "SHA256:u", "serial": "142", "GPU 0": "GPU-5b"}
    (clash,) = identity.clashes(["spark-03", "spark-07"], [both, both])
    assert clash.hosts == ("spark-03", "spark-07")
    assert clash.name == "GPU, SSH host key, machine-id, serial"
    assert clash.says.endswith("they are one machine, which was validated under both names")


def test_a_copied_disk_is_told_from_one_machine() -> None:
    first = {"machine-id": "b0f5", "SSH host key": "SHA256:u", "GPU 0": "GPU-5b"}
    (clash,) = identity.clashes(["a", "b"], [first, first | {"GPU 0": "GPU-77"}])
    assert clash.says == (
        "a and b have the same SSH host key and machine-id, and another GPU: the disk of one was copied to the others"
    )


def test_a_gpu_that_is_in_two_machines_was_moved() -> None:
    (clash,) = identity.clashes(["a", "b"], [{"serial": "1", "GPU 0": "GPU-5b"}, {"serial": "2", "GPU 3": "GPU-5b"}])
    assert "a GPU was moved, or one machine was renamed" in clash.says


def test_machines_of_their_own_do_not_clash() -> None:
    assert identity.clashes(["a", "b"], [{"machine-id": "1"}, {"machine-id": "2"}]) == ()
    assert identity.clashes(["a", "b"], [{"machine-id": "1"}, {"serial": "1"}]) == ()


def test_of_three_machines_only_those_that_share_something_clash() -> None:
    (clash,) = identity.clashes(["a", "b", "c"], [{"machine-id": "1"}, {"machine-id": "2"}, {"machine-id": "1"}])
    assert clash.hosts == ("a", "c")
