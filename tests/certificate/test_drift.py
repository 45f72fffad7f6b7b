"""Drift: what a certificate rests on decides whether it stands; what could not be looked at leaves it open."""

from datetime import UTC, datetime
from typing import Any

import pytest
from suites.certified import GPU, SPARK, run
from suites.example import image_ready

from dgxcert.certificate import drift
from dgxcert.certificate.drift import Now
from dgxcert.certificate.statement import Ours, make
from dgxcert.machine.identity import Machine
from dgxcert.machine.image import Image

NOW = datetime(2026, 11, 26, tzinfo=UTC)
IMAGE = image_ready().image


def ours() -> Ours:
    return make(run(), {"run.json": "00"}, NOW, 365).ours


def states(machine: Machine = SPARK, image: Image | None = IMAGE, unseen: str = "") -> dict[str, Now]:
    return {each.what: each.state for each in drift.compare(ours(), machine, image, unseen)}


def stands(machine: Machine = SPARK, image: Image | None = IMAGE, unseen: str = "") -> bool | None:
    return drift.is_valid(ours(), drift.compare(ours(), machine, image, unseen), NOW)


def test_an_unchanged_machine_stands() -> None:
    assert set(states().values()) == {Now.SAME}
    assert stands() is True


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("driver", {"driver": "590.10"}),
        ("CUDA of the driver", {"cuda_driver": "13.1"}),
        ("firmware", {"firmware": "5.40"}),
        ("serial number", {"serial": "1"}),
        ("GPUs", {"gpus": (GPU, GPU.model_copy(update={"uuid": "GPU-2", "index": 1}))}),
        ("VBIOS", {"gpus": (GPU.model_copy(update={"vbios": "9B"}),)}),
    ],
)
def test_what_it_rests_on_must_not_change(what: str, change: dict[str, Any]) -> None:
    changed = SPARK.model_copy(update=change)
    assert states(changed)[what] is Now.CHANGED
    assert stands(changed) is False


@pytest.mark.parametrize("change", [{"id": "sha256:78"}, {"lock_sha256": "bb"}])
def test_nor_must_the_image_or_its_lock(change: dict[str, str]) -> None:
    assert stands(image=IMAGE.model_copy(update=change)) is False


def test_an_image_that_is_gone_is_a_change() -> None:
    assert stands(image=None) is False


def test_an_engine_that_does_not_answer_leaves_it_open() -> None:
    assert states(image=None, unseen="the engine does not answer")["image"] is Now.UNKNOWN
    assert stands(image=None, unseen="the engine does not answer") is None


@pytest.mark.parametrize("field", ["driver", "firmware", "serial"])
def test_what_can_no_longer_be_read_leaves_it_open(field: str) -> None:
    assert stands(SPARK.model_copy(update={field: None})) is None


@pytest.mark.parametrize(("field", "what"), [("kernel", "kernel"), ("hostname", "host name")])
def test_a_kernel_or_a_name_may_change(field: str, what: str) -> None:
    changed = SPARK.model_copy(update={field: "other"})
    assert states(changed)[what] is Now.NOTED
    assert stands(changed) is True


def test_a_machine_is_known_by_its_gpus_before_its_name() -> None:
    other = GPU.model_copy(update={"uuid": "GPU-2"})
    assert drift.same_machine(ours(), SPARK.model_copy(update={"hostname": "renamed", "serial": None}))
    assert not drift.same_machine(ours(), SPARK.model_copy(update={"gpus": (other,)}))
    assert drift.same_machine(ours(), SPARK.model_copy(update={"gpus": ()}))
    assert not drift.same_machine(ours(), SPARK.model_copy(update={"gpus": (), "serial": "1"}))
    assert not drift.same_machine(ours(), SPARK.model_copy(update={"gpus": (), "serial": None, "hostname": "other"}))
