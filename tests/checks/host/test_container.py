"""IMAGE-ARCHITECTURE and CONTAINER-COMPUTES fail a foreign image and a container that does not compute."""

import contextlib
import json
from types import ModuleType

import check_file
import pytest
from suites import example
from suites.host_machine import (
    IMAGE,
    Change,
    Failure,
    HostMachine,
    Inconclusiveness,
    failures,
    image,
    inconclusive,
    reads,
)
from suites.host_readings import NOT_MEASURED, SPARK, computed

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import container
from dgxcert.probes.host.container import Container
from dgxcert.profiles import profile as profiles

GPU = "cuda:0 (NVIDIA GB10)"
NO_TOOLKIT = container.failed('could not select device driver "" with capabilities: [[gpu]]')

FAILURES: tuple[Failure, ...] = (
    (
        "IMAGE-ARCHITECTURE",
        image(IMAGE.model_copy(update={"architecture": "amd64"})),
        "architecture of the image is x86_64, required == aarch64",
        "make image",
    ),
    (
        "CONTAINER-COMPUTES",
        reads(container, "read", NO_TOOLKIT),
        "the engine has no NVIDIA Container Toolkit, or was started before it was installed",
        "sudo apt install nvidia-container-toolkit",
    ),
    (
        "CONTAINER-COMPUTES",
        reads(container, "read", computed(GPU, wrong=3)),
        "wrong products is 3, required == 0",
        "ONLY=KERNEL-CORRECT",
    ),
    (
        "CONTAINER-COMPUTES",
        reads(container, "read", computed(GPU, "cuda:1 (NVIDIA GB10)")),
        "devices in the container is 2 device, required == 1 device",
        "nvidia-smi -L",
    ),
    (
        "CONTAINER-COMPUTES",
        reads(container, "read", computed()),
        "devices in the container is 0 device, required == 1 device",
        "docker run --rm --gpus all",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("IMAGE-ARCHITECTURE", image(None), "this run uses no container image"),
    ("CONTAINER-COMPUTES", image(None), "this run uses no container image"),
    ("CONTAINER-COMPUTES", reads(container, "read", NOT_MEASURED), "no instrument answered"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("IMAGE-ARCHITECTURE", "CONTAINER-COMPUTES")


@failures(*FAILURES)
def test_a_fault_fails_with_its_reason_and_remedy(
    host: HostMachine, id: str, change: Change, reason: str, step: str
) -> None:
    change(host)
    host.require_failed(id, reason, step)


@inconclusive(*INCONCLUSIVE)
def test_what_cannot_be_measured_is_inconclusive_with_a_reason(
    host: HostMachine, id: str, change: Change, reason: str
) -> None:
    change(host)
    host.require_inconclusive(id, reason)


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return check_file.load("host/test_container")


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (Container((GPU,), 0, "", (), ("GPU-0",)), None),
        (Container((GPU,), 0, "exit code 1", ("Read its log.",)), "a container computes"),
        (Container((), 0, "", ()), "devices in the container"),
        (Container((GPU, GPU), 0, "", (), ("GPU-0", "GPU-1")), "devices in the container"),
        (Container((GPU,), 0, "", (), ("GPU-1",)), "GPUs that the container lacks"),
        (Container((GPU,), 1, "", (), ("GPU-0",)), "wrong products"),
    ],
)
def test_each_problem_of_a_container_fails_alone(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, result: Container, fault: str | None
) -> None:
    monkeypatch.setattr(container, "read", lambda image, gpus: result)
    evidence = Recorder()
    arguments = (example.image_ready().image, SPARK, profiles.load("dgx-spark"), evidence)
    if fault is None:
        check.test_a_container_of_the_image_computes_on_every_gpu(*arguments)
        assert evidence.compared
    else:
        with pytest.raises(AssertionError):
            check.test_a_container_of_the_image_computes_on_every_gpu(*arguments)
        assert evidence.advice == result.remedy
    assert [quantity.name for quantity, _ in evidence.violated] == ([fault] if fault else [])


H200 = tuple(Gpu(index=at, product="NVIDIA H200", uuid=f"GPU-{at}", compute_capability="9.0") for at in range(8))
DISPLAY = {"device": "cuda:8", "product": "NVIDIA DGX Display", "uuid": "d", "wrong": 9}


def _answer(*uuids: str) -> Container:
    """The container's result where the GPUs with these UUIDs, and a display adapter, have computed."""
    results = [
        {"device": f"cuda:{at}", "product": "NVIDIA H200", "uuid": uuid, "wrong": 0} for at, uuid in enumerate(uuids)
    ]
    return container.parse(0, json.dumps([*results, DISPLAY]), "")


@pytest.mark.parametrize(
    ("uuids", "missing"),
    [
        ([f"GPU-{at}" for at in range(8)], "none"),
        (["GPU-7", *(f"GPU-{at}" for at in range(7))], "none"),
        ([f"GPU-{at}" for at in range(7)], "GPU 7 (GPU-7)"),
        (["GPU-0"] * 8, ", ".join(f"GPU {at} (GPU-{at})" for at in range(1, 8))),
        ([""] * 8, ", ".join(f"GPU {at} (GPU-{at})" for at in range(8))),
    ],
    ids=["all", "in another order", "seven", "one eight times", "without their identity"],
)
def test_every_gpu_of_the_machine_must_compute(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, uuids: list[str], missing: str
) -> None:
    """The profile asks for at least one H200; this machine has eight."""
    monkeypatch.setattr(container, "read", lambda image, gpus: _answer(*uuids))
    machine = SPARK.model_copy(update={"gpus": H200})
    evidence = Recorder()
    with contextlib.nullcontext() if missing == "none" else pytest.raises(AssertionError):
        check.test_a_container_of_the_image_computes_on_every_gpu(None, machine, profiles.load("h200"), evidence)
    values = {kept.name: kept.value for kept in evidence.kept}
    assert (values["GPUs that the container lacks"], values["wrong products"]) == (missing, 0)


def test_a_machine_whose_gpus_are_unknown_is_inconclusive(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "read", lambda image, gpus: _answer("GPU-0"))
    machine = SPARK.model_copy(update={"gpus": ()})
    with pytest.raises(Inconclusive, match="the driver lists no GPU"):
        check.test_a_container_of_the_image_computes_on_every_gpu(None, machine, profiles.load("h200"), Recorder())


def test_a_container_of_a_machine_without_a_gpu_computes_on_the_cpu(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps([{"device": "cpu", "product": "CPU", "uuid": "", "wrong": 0}])
    monkeypatch.setattr(container, "read", lambda image, gpus: container.parse(0, answer, ""))
    evidence = Recorder()
    check.test_a_container_of_the_image_computes_on_every_gpu(None, SPARK, profiles.load("cpu"), evidence)
    assert evidence.compared
