"""A GPU waits for the fabric, is ill in it, or has none; one GPU alone does not need it."""

from typing import Any

import pytest
from suites import example

from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import cuda_devices, nvml
from dgxcert.probes.gpu.cuda_devices import CudaDevices
from dgxcert.probes.links import fabric
from dgxcert.probes.links.fabric import Fabric

WELL: dict[str, Any] = {"state": "COMPLETED", "status": 0, "health": {"DEGRADED_BW": "FALSE", "SUMMARY": "HEALTHY"}}


def machine(gpus: int) -> Machine:
    cards = (Gpu(index=i, product="NVIDIA H200", uuid=f"GPU-{i}", compute_capability="9.0") for i in range(gpus))
    return example.MACHINE.model_copy(update={"gpus": tuple(cards)})


def told(
    monkeypatch: pytest.MonkeyPatch,
    *answers: dict[str, Any] | int,
    cuda: int = 0,
    error: int = 0,
    links: tuple[dict[str, Any], ...] = (),
    virtual: bool | None = None,
) -> Fabric:
    """What is read where the GPUs answer so, or refuse with NVML's code, and CUDA starts on that many."""

    def ask(index: int, field: str) -> Answers:
        if field == "nvlinks":
            return Answers(index, {field: list(links)})
        answer = answers[index]
        if isinstance(answer, int):
            return Answers(index, {}, {field: {"code": answer, "says": "No"}})
        return Answers(index, {field: answer})

    monkeypatch.setattr(nvml, "ask", ask)
    monkeypatch.setattr(cuda_devices, "read", lambda machine: CudaDevices(cuda, error=error))
    return fabric.read(machine(len(answers)).model_copy(update={"virtual": virtual}))


def test_gpus_that_the_fabric_has_admitted_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(monkeypatch, WELL, WELL)
    assert (found.linked, found.waiting, found.ill, found.remedy) == ((0, 1), {}, {}, ())


@pytest.mark.parametrize("state", ["NOT_STARTED", "IN_PROGRESS", "4"])
def test_a_gpu_that_is_not_admitted_waits(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    found = told(monkeypatch, WELL, WELL | {"state": state}, cuda=2)
    assert list(found.waiting) == [1]
    assert "systemctl status nvidia-fabricmanager" in " ".join(found.remedy)


def test_one_gpu_alone_waits_only_where_cuda_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA/nvrc#159: a GPU that a host passes through alone needs no fabric manager."""
    waits = WELL | {"state": "IN_PROGRESS"}
    assert told(monkeypatch, waits, cuda=1).waiting == {}
    assert list(told(monkeypatch, waits, cuda=0).waiting) == [0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": 999}, "registered with error 999"),
        ({"health": {"DEGRADED_BW": "TRUE"}}, "degraded bw"),
        ({"health": {"ROUTE_UNHEALTHY": "TRUE"}}, "route unhealthy"),
        ({"health": {"INCORRECT_CONFIGURATION": "NO_PARTITION"}}, "incorrect configuration: no partition"),
        ({"health": {"PARTITION_ASSIGNED": "FALSE"}}, "partition assigned: false"),
        ({"health": {"GFM_STATE": "DISCONNECTED"}}, "gfm state: disconnected"),
        ({"health": {"SUMMARY": "LIMITED_CAPACITY"}}, "summary: limited capacity"),
        ({"health": {"SUMMARY": "9"}}, "summary: 9"),
    ],
)
def test_a_gpu_that_is_ill_in_the_fabric_is_named(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], said: str
) -> None:
    found = told(monkeypatch, WELL, WELL | changed)
    assert found.ill == {1: said}
    assert "--gpu-reset -i 1" in " ".join(found.remedy)


@pytest.mark.parametrize("answer", [3, 13, 2, 25, {"state": "NOT_SUPPORTED", "status": 0, "health": {}}])
def test_a_gpu_without_a_fabric_or_with_an_old_driver_is_not_linked(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | int
) -> None:
    found = told(monkeypatch, answer, answer)
    assert (found.linked, found.waiting, found.ill, found.apart) == ((), {}, {}, (0, 1))
    assert list(found.unknown) == ([0, 1] if answer in (13, 2, 25) else [])
    assert "systemctl status nvidia-fabricmanager" in " ".join(found.remedy)


def test_a_gpu_without_a_fabric_beside_others_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(monkeypatch, WELL, 3)
    assert (found.linked, found.apart) == ((0,), (1,))


def test_gpus_that_a_host_passes_through_without_links_wait_only_where_cuda_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = WELL | {"state": "NOT_STARTED"}
    assert told(monkeypatch, waits, waits, cuda=2, links=(DOWN,), virtual=True).waiting == {}
    assert len(told(monkeypatch, waits, waits, cuda=1, links=(DOWN,), virtual=True).waiting) == 2
    assert len(told(monkeypatch, waits, waits, cuda=2, links=(DOWN,), virtual=False).waiting) == 2
    linked = told(monkeypatch, waits, waits, cuda=2, links=(SWITCHED,), virtual=True)
    assert len(linked.waiting) == 2, "links that are up carry nothing without a fabric: Dstack-TEE/dstack#1167"


SWITCHED = {"state": "ACTIVE", "remote": "SWITCH"}
DOWN, BRIDGED = {"state": "INACTIVE", "remote": None}, {"state": "ACTIVE", "remote": "GPU"}


@pytest.mark.parametrize(
    ("links", "error", "waits"),
    [
        ((SWITCHED,), 802, True),
        ((DOWN,), 802, True),
        ((SWITCHED,), 0, False),
        ((SWITCHED,), 803, False),
        ((BRIDGED,), 802, False),
        ((), 802, False),
    ],
)
def test_gpus_without_a_state_of_their_own_wait_where_cuda_says_so(
    monkeypatch: pytest.MonkeyPatch, links: tuple[dict[str, Any], ...], error: int, waits: bool
) -> None:
    """An A100 has NVSwitch and a fabric manager, and no fabric state."""
    found = told(monkeypatch, 3, 3, error=error, links=links)
    assert list(found.waiting) == ([0, 1] if waits else [])
    assert waits == ("CUDA error 802" in found.source)
    assert told(monkeypatch, 3, error=error, links=links).waiting == {}, "one GPU has no other to wait for"
    assert told(monkeypatch, WELL, 3, error=error, links=links).waiting == {}


def test_a_health_that_is_not_supported_is_no_fault() -> None:
    parts = ("DEGRADED_BW", "INCORRECT_CONFIGURATION", "PARTITION_ASSIGNED", "GFM_STATE", "SUMMARY")
    assert fabric.faults_of(WELL | {"health": dict.fromkeys(parts, "NOT_SUPPORTED")}) == ""


def test_a_driver_that_fails_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Inconclusive, match="fabric of GPU 0: No"):
        told(monkeypatch, 16, WELL)
