"""A change of what a certificate depends on makes it invalid; what could not be checked leaves it open."""

from datetime import UTC, datetime
from typing import Any

import pytest
from suites.certified import GPU, SPARK, run
from suites.example import finished, image_ready

from dgxcert.certificate import drift
from dgxcert.certificate.drift import State
from dgxcert.certificate.statement import Extension, make
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image
from dgxcert.outcome import Outcome

NOW = datetime(2026, 11, 26, tzinfo=UTC)
IMAGE = image_ready().image


def certified() -> Extension:
    return make(run(), {"run.json": "00"}, NOW, 365).extension


def states(machine: Machine = SPARK, image: Image | None = IMAGE, unreadable: str = "") -> dict[str, State]:
    return {each.name: each.state for each in drift.compare(certified(), machine, image, unreadable)}


def is_valid(machine: Machine = SPARK, image: Image | None = IMAGE, unreadable: str = "") -> bool | None:
    return drift.is_valid(certified(), drift.compare(certified(), machine, image, unreadable), NOW, verified=True)


def test_the_certificate_of_an_unchanged_machine_is_valid() -> None:
    assert set(states().values()) == {State.UNCHANGED}
    assert is_valid() is True


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("driver", {"driver": "590.10"}),
        ("CUDA of the driver", {"cuda_driver": "13.1"}),
        ("firmware", {"firmware": "5.40"}),
        ("serial number", {"serial": "1"}),
        ("GPUs", {"gpus": (GPU, GPU.model_copy(update={"uuid": "GPU-2", "index": 1}))}),
        ("VBIOS", {"gpus": (GPU.model_copy(update={"vbios": "9B"}),)}),
    ],
)
def test_a_decisive_change_makes_it_invalid(name: str, change: dict[str, Any]) -> None:
    changed = SPARK.model_copy(update=change)
    assert states(changed)[name] is State.CHANGED
    assert is_valid(changed) is False


@pytest.mark.parametrize("change", [{"id": "sha256:78"}, {"lock_sha256": "bb"}])
def test_another_image_or_lock_makes_it_invalid(change: dict[str, str]) -> None:
    assert is_valid(image=IMAGE.model_copy(update=change)) is False


def test_a_missing_image_makes_it_invalid() -> None:
    assert is_valid(image=None) is False


def test_an_engine_that_does_not_answer_leaves_it_open() -> None:
    assert states(image=None, unreadable="the engine does not answer")["image"] is State.UNKNOWN
    assert is_valid(image=None, unreadable="the engine does not answer") is None


@pytest.mark.parametrize("field", ["driver", "firmware", "serial"])
def test_what_can_no_longer_be_read_leaves_it_open(field: str) -> None:
    assert is_valid(SPARK.model_copy(update={field: None})) is None


@pytest.mark.parametrize(("field", "name"), [("kernel", "kernel"), ("hostname", "host name")])
def test_a_change_of_kernel_or_host_name_is_irrelevant(field: str, name: str) -> None:
    changed = SPARK.model_copy(update={field: "other"})
    assert states(changed)[name] is State.IRRELEVANT
    assert is_valid(changed) is True


def test_a_machine_is_recognised_by_gpu_then_serial_then_host_name() -> None:
    other = GPU.model_copy(update={"uuid": "GPU-2"})
    assert drift.same_machine(certified(), SPARK.model_copy(update={"hostname": "renamed", "serial": None}))
    assert not drift.same_machine(certified(), SPARK.model_copy(update={"gpus": (other,)}))
    assert drift.same_machine(certified(), SPARK.model_copy(update={"gpus": ()}))
    assert not drift.same_machine(certified(), SPARK.model_copy(update={"gpus": (), "serial": "1"}))
    assert not drift.same_machine(
        certified(), SPARK.model_copy(update={"gpus": (), "serial": None, "hostname": "other"})
    )


def test_an_expired_certificate_is_invalid_on_an_unchanged_machine() -> None:
    compared = drift.compare(certified(), SPARK, IMAGE)
    assert drift.is_valid(certified(), compared, datetime(2027, 11, 26, tzinfo=UTC), verified=True) is False


def test_a_signed_report_is_never_valid_as_a_certificate() -> None:
    report = make(run(finished("DISK-SPACE", Outcome.FAILED)), {"run.json": "00"}, NOW, 365).extension
    assert drift.is_valid(report, drift.compare(report, SPARK, IMAGE), NOW, verified=True) is False


def test_a_certificate_whose_signature_was_not_verified_is_never_valid() -> None:
    """Its text may be anybody's: an edited one with a later date of expiry compares as well."""
    compared = drift.compare(certified(), SPARK, IMAGE)
    assert drift.is_valid(certified(), compared, NOW, verified=False) is None
    assert drift.is_valid(certified(), compared, datetime(2027, 11, 26, tzinfo=UTC), verified=False) is False
