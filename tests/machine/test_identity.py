"""A field that could not be read is inconclusive with its reason, and a machine is known by what must not change."""

import pytest
from suites import example

from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive

GPUS = tuple(Gpu(index=at, product="NVIDIA H200", uuid=f"GPU-{at}", compute_capability="9.0") for at in range(2))
MACHINE = example.MACHINE.model_copy(update={"serial": "1983924000042", "firmware": "5.36", "gpus": GPUS})


def test_a_field_that_was_read_is_returned_as_text() -> None:
    assert MACHINE.require("serial") == "1983924000042"
    assert MACHINE.require("cores") == str(MACHINE.cores)


@pytest.mark.parametrize(
    ("unreadable", "reason"),
    [({"serial": "Permission denied"}, "Permission denied"), ({}, "nothing reports it")],
    ids=["refused", "not reported"],
)
def test_a_field_that_could_not_be_read_is_inconclusive(unreadable: dict[str, str], reason: str) -> None:
    machine = MACHINE.model_copy(update={"serial": None, "unreadable": unreadable})
    with pytest.raises(Inconclusive, match=f"the serial of this machine could not be read: {reason}"):
        machine.require("serial")


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"gpus": GPUS[::-1]}, True),
        ({"uptime_s": 9.0, "boot_id": "other", "memory_gib": 1.0}, True),
        ({"gpus": GPUS[:1]}, False),
        ({"serial": "1983924000043"}, False),
        ({"driver": "580.95.06"}, False),
        ({"cuda_driver": "13.1"}, False),
        ({"kernel": "6.17.1"}, False),
        ({"firmware": "5.37"}, False),
        ({"product": "another"}, False),
        ({"hostname": "another"}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_the_identity_is_the_machine_and_its_system_software(changed: dict[str, object], same: bool) -> None:
    assert (MACHINE.model_copy(update=changed).identity == MACHINE.identity) is same
