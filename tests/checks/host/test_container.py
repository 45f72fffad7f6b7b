"""IMAGE-ARCHITECTURE and CONTAINER-COMPUTES fail a foreign image and a container that does not compute."""

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
from suites.host_readings import NOT_MEASURED, computed

from dgxcert.judgement.evidence import Recorder
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
        "the engine has no NVIDIA Container Toolkit, or it is not configured",
        "sudo apt install nvidia-container-toolkit",
    ),
    (
        "CONTAINER-COMPUTES",
        reads(container, "read", computed(GPU, wrong=3)),
        "wrong products is 3, required == 0",
        "--only KERNEL-CORRECT",
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
        (Container((GPU,), 0, "", ()), None),
        (Container((GPU,), 0, "exit code 1", ("Read its log.",)), "a container computes"),
        (Container((), 0, "", ()), "devices in the container"),
        (Container((GPU, GPU), 0, "", ()), "devices in the container"),
        (Container((GPU,), 1, "", ()), "wrong products"),
    ],
)
def test_each_problem_of_a_container_fails_alone(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, result: Container, fault: str | None
) -> None:
    monkeypatch.setattr(container, "read", lambda image, gpus: result)
    evidence = Recorder()
    arguments = (example.image_ready().image, profiles.load("dgx-spark"), evidence)
    if fault is None:
        check.test_a_container_of_the_image_computes_on_every_gpu(*arguments)
        assert evidence.compared
    else:
        with pytest.raises(AssertionError):
            check.test_a_container_of_the_image_computes_on_every_gpu(*arguments)
        assert evidence.advice == result.remedy
    assert [quantity.name for quantity, _ in evidence.violated] == ([fault] if fault else [])
