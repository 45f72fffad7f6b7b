"""The DOCKER-… checks fail an engine that does not answer, is too old or too new, or cannot give GPUs away."""

from dataclasses import replace

import pytest
from suites.host_machine import (
    IMAGE,
    Change,
    Failure,
    HostMachine,
    Inconclusiveness,
    failures,
    inconclusive,
    reads,
)
from suites.host_readings import SPARK, STOPPED, UNRESPONSIVE, engine

from dgxcert.container import engine_answer
from dgxcert.container.engine_kind import SNAP
from dgxcert.probes.host.engine import cdi, settings

FAILURES: tuple[Failure, ...] = (
    (
        "DOCKER-REACHABLE",
        reads(engine_answer, "ask", STOPPED),
        "is not running: nothing listens on it",
        "sudo systemctl start docker",
    ),
    (
        "DOCKER-API",
        reads(engine_answer, "ask", engine("docker-1.12")),
        "newest API of the engine is 24 API 1.x, required >= 40 API 1.x",
        "version 20.10 or newer",
    ),
    (
        "DOCKER-API",
        reads(engine_answer, "ask", engine("docker-90")),
        "oldest API of the engine is 90 API 1.x, required <= 45 API 1.x",
        "git pull && make setup",
    ),
    (
        "DOCKER-ROOTFUL",
        reads(engine_answer, "ask", engine("rootless-28")),
        "engine runs as root is False, required == True",
        "docker context use default",
    ),
    (
        "DOCKER-ARCHITECTURE",
        reads(engine_answer, "ask", engine("x86_64-28")),
        "architecture of the engine is x86_64, required == aarch64",
        "uname -m",
    ),
    (
        "DOCKER-GPU",
        reads(engine_answer, "ask", engine(DiscoveredDevices=[])),
        "no nvidia runtime, no CDI specification, no NVIDIA Container Toolkit",
        "sudo nvidia-ctk runtime configure",
    ),
    (
        "DOCKER-GPU",
        reads(engine_answer, "ask", replace(engine(DiscoveredDevices=[]), kind=SNAP)),
        "no nvidia runtime",
        "sudo snap restart docker.nvidia-container-toolkit",
    ),
    (
        "ENGINE-SETTINGS",
        reads(settings, "read_daemon", settings.parse_daemon('{"runtimes": {},}', "/etc/docker/daemon.json")),
        "/etc/docker/daemon.json is no valid JSON",
        "sudo dockerd --validate --config-file=/etc/docker/daemon.json",
    ),
    (
        "ENGINE-SETTINGS",
        reads(settings, "read_toolkit", settings.parse_toolkit("mode = cdi", "/etc/config.toml", "1.19.0")),
        "/etc/config.toml is no valid TOML",
        "nvidia-ctk config default",
    ),
    (
        "CDI-CURRENT",
        reads(cdi, "read", [cdi.Specification("/etc/cdi/n.yaml", cdi.GPU, ("all",), ("/dev/nvidia1",), "")]),
        "/etc/cdi/n.yaml names /dev/nvidia1, which does not exist",
        "sudo nvidia-ctk cdi generate --output=/etc/cdi/n.yaml",
    ),
    (
        "CDI-CURRENT",
        reads(cdi, "read", [cdi.Specification("/etc/cdi/n.yaml", cdi.GPU, ("all",), (), "580.95.05")]),
        "was made for driver 580.95.05, and 580.126.09 is loaded",
        "sudo nvidia-ctk cdi generate --output=/etc/cdi/n.yaml",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("DOCKER-REACHABLE", reads(engine_answer, "ask", UNRESPONSIVE), "accepts the request and does not answer"),
    ("DOCKER-API", reads(engine_answer, "ask", STOPPED), "the container engine does not answer"),
    ("DOCKER-ROOTFUL", reads(engine_answer, "ask", STOPPED), "the container engine does not answer"),
    ("DOCKER-ARCHITECTURE", reads(engine_answer, "ask", UNRESPONSIVE), "the container engine does not answer"),
    ("DOCKER-GPU", reads(engine_answer, "ask", STOPPED), "the container engine does not answer"),
    ("ENGINE-SETTINGS", reads(engine_answer, "ask", STOPPED), "the container engine does not answer"),
    ("CDI-CURRENT", reads(engine_answer, "ask", STOPPED), "the container engine does not answer"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("DOCKER-REACHABLE", "DOCKER-API", "DOCKER-ROOTFUL", "DOCKER-ARCHITECTURE", "DOCKER-GPU")
    host.require_passed("ENGINE-SETTINGS", "CDI-CURRENT")


@pytest.mark.parametrize(
    ("ids", "change"),
    [
        (
            ("DOCKER-REACHABLE", "DOCKER-API", "DOCKER-ROOTFUL", "DOCKER-GPU"),
            reads(engine_answer, "ask", engine("nvidia-runtime-20")),
        ),
        (
            ("DOCKER-GPU",),
            reads(
                engine_answer,
                "ask",
                replace(engine("x86_64-28"), gpu_ways=("/usr/bin/nvidia-container-runtime-hook",)),
            ),
        ),
    ],
    ids=["the oldest engine in use, with the nvidia runtime", "an engine that gives GPUs by the toolkit's hook"],
)
def test_another_healthy_engine_passes(host: HostMachine, ids: tuple[str, ...], change: Change) -> None:
    change(host)
    host.require_passed(*ids)


def test_architectures_agree_on_a_healthy_x86_64_machine(host: HostMachine) -> None:
    """Docker calls it amd64 in an image and x86_64 in an engine, as the kernel does."""
    host.machine = SPARK.model_copy(update={"architecture": "x86_64"})
    host.image = IMAGE.model_copy(update={"architecture": "amd64"})
    host.set(engine_answer, "ask", engine("x86_64-28"))
    host.require_passed("DOCKER-ARCHITECTURE", "IMAGE-ARCHITECTURE")


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
