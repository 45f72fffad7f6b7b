"""Every check of the host fails a sick machine, passes a healthy one, and passes nothing that it could not look at."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import check_file
import paths
import pytest
from suites import example
from suites.inline import counts, ended

from dgxcert.container import engine_answer
from dgxcert.container.engine_answer import Engine
from dgxcert.judgement.requirement import Requirement, Stage
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.machine.image import Image
from dgxcert.outcome import Inconclusive
from dgxcert.plan import catalogue
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import clock, container, disk, docker_engine, kernel_log, kernel_module, memory
from dgxcert.profiles import profile as profiles
from dgxcert.runner import session

CHECKS = paths.CHECKS / "host"

COMMAND = re.compile(
    r"(?:: |`|; |&& )"
    r"(?:(?:sudo )?(?:apt|cat|df|docker|free|make|nvidia-ctk|ps|swapoff|timedatectl) [\w/.-]|nvidia-smi\b)"
)
"""Something to type, after a colon or quoted: a program and what it is to do; nvidia-smi does it unasked."""

GATES = {"DOCKER-REACHABLE", "DOCKER-ROOTFUL", "DOCKER-ARCHITECTURE", "DISK-SPACE", "IMAGE-ARCHITECTURE"}
"""Without these nothing is built or started: what came of it could not be believed, or would fill the disk."""

GB10 = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-0", compute_capability="12.1")
SPARK = example.MACHINE.model_copy(update={"gpus": (GB10,), "firmware": "5.36_0ACUM018", "dgx_release": "7.4.0"})
IMAGE = example.image_ready().image
PROFILE = profiles.load("dgx-spark")


@dataclass(frozen=True)
class Check:
    """One requirement of the host and where it stands."""

    file: Path
    test: str
    requirement: Requirement


def declared() -> dict[str, Check]:
    """Every requirement of checks/host, by id, as its files declare them."""
    found = {}
    for file in sorted(CHECKS.glob("test_*.py")):
        module = check_file.load(f"host/{file.stem}")
        for name, function in vars(module).items():
            requirement = catalogue.declared(function)
            if requirement is not None:
                found[requirement.id] = Check(file, name, requirement)
    return found


DECLARED = declared()


def engine(name: str = "spark-29", **changed: object) -> Engine:
    """A recorded engine; what this machine itself could give GPUs with is left out."""
    folder = paths.RECORDED / "engines"
    recorded = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    info = {**recorded["info"], "CDISpecDirs": ["/nowhere"], **changed}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_engine, "DAEMON_PATH", "/nowhere")
        return docker_engine.parse(docker_engine.DEFAULT_ENDPOINT, recorded["version"], info, ("1.24", "1.45"))


def driver(version: str | None) -> nvml.Driver:
    absence = None if version else "NVML Shared Library Not Found"
    return nvml.Driver(version, "13.0" if version else None, (GB10,) if version else (), absence=absence)


def half_updated() -> nvml.Driver:
    return nvml.Driver(None, None, (), mismatch="Driver/library version mismatch")


def log(*lines: str) -> kernel_log.KernelLog:
    """The kernel's log since the boot, with these lines in it."""
    return kernel_log.parse("\n".join(["[    0.000000] Linux version 6.17", *lines]), "`dmesg`")


def computed(*devices: str, wrong: int = 0) -> container.Container:
    return container.Container(devices, wrong, "", ())


STOPPED = docker_engine.diagnose(ConnectionRefusedError(), docker_engine.DEFAULT_ENDPOINT, selected=False)
SILENT = engine_answer.unresponsive(docker_engine.DEFAULT_ENDPOINT)
NO_TOOLKIT = container.failed('could not select device driver "" with capabilities: [[gpu]]')


class World:
    """What the probes read on one machine: a healthy Spark, but for what is `set`."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self.machine: Machine = SPARK
        self.image: Image | None = IMAGE
        # Each at the edge of what the profile `dgx-spark` allows.
        self.set(clock, "read", clock.Clock(synchronised=True, max_error_s=1.0))
        self.set(container, "read", computed("cuda:0 (NVIDIA GB10)"))
        self.set(disk, "read", disk.Disk("/var/lib/docker", 60.0))
        self.set(kernel_log, "read", log())
        self.set(kernel_module, "read", kernel_module.KernelModule("580.126.09", is_open=True))
        self.set(engine_answer, "ask", engine())
        self.set(memory, "read", memory.Memory(121.6, 80.0, 15.0, 2.0))
        self.set(nvml, "read", driver("580.126.09"))
        self.set(nvml, "compute_processes", [])

    def set(self, probe: Any, name: str, found: object) -> None:
        """Let a probe find this; an exception is raised."""

        def read(*_: object, **__: object) -> object:
            if isinstance(found, Exception):
                raise found.with_traceback(None)  # which would else grow with every use
            return found

        self._monkeypatch.setattr(probe, name, read)

    def run(self, *names: str) -> pytest.RunResult:
        """Run these checks as they stand in checks/host, through the plugin."""
        make = session.Direct.__init__

        def with_image(direct: session.Direct, *asked: Any) -> None:
            make(direct, *asked)
            direct.image = self.image

        self._monkeypatch.setattr(session.Direct, "__init__", with_image)
        self._monkeypatch.setattr(session, "read_machine", lambda: self.machine)
        self._monkeypatch.setattr(session, "choose_profile", lambda name, machine: PROFILE)
        checks = [DECLARED[name] for name in names]
        self._pytester.makepyfile(**{check.file.stem: check.file.read_text(encoding="utf-8") for check in checks})
        tests = [f"{check.file.name}::{check.test}" for check in checks]
        # As the supervisor does: no plugin that happens to be installed.
        self._monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        options = ("-p", "no:cacheprovider", "-p", "dgxcert.runner.plugin")
        return self._pytester.runpytest_inprocess(*options, *tests)


@pytest.fixture
def world(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(pytester, monkeypatch)


@pytest.mark.parametrize("id", DECLARED)
def test_a_requirement_of_the_host_is_measured_there_and_says_why_and_what_to_do(id: str) -> None:
    requirement = DECLARED[id].requirement
    assert requirement.stage in {Stage.HOST, Stage.IMAGE}
    assert len(requirement.why.split()) >= 8, "a sentence"
    assert any(COMMAND.search(step) for step in requirement.remedy), "nothing to type"


@pytest.mark.parametrize("step", ["Look at it: docker version", "Run `docker info --format x`.", "Look: nvidia-smi"])
def test_a_program_with_its_arguments_is_something_to_type(step: str) -> None:
    assert COMMAND.search(step)


@pytest.mark.parametrize("step", ["Look at docker closely.", "Restart it: docker", "Update the `docker` package."])
def test_the_mere_name_of_a_program_is_nothing_to_type(step: str) -> None:
    assert not COMMAND.search(step)


def test_what_needs_the_image_waits_for_it() -> None:
    waits = {name for name, check in DECLARED.items() if check.requirement.stage is Stage.IMAGE}
    assert waits == {"IMAGE-ARCHITECTURE", "CONTAINER-COMPUTES"}


def test_gates_are_what_a_container_could_not_be_trusted_without() -> None:
    assert {name for name, check in DECLARED.items() if check.requirement.gate} == GATES


def test_no_two_requirements_of_the_host_say_or_advise_the_same() -> None:
    assert len({check.requirement.why for check in DECLARED.values()}) == len(DECLARED)
    assert len({check.requirement.remedy for check in DECLARED.values()}) == len(DECLARED)


def test_a_healthy_machine_passes_every_check(world: World) -> None:
    result = world.run(*DECLARED)
    assert counts(result) == {"passed": len(DECLARED)}
    assert result.ret == pytest.ExitCode.OK


Ail = Callable[[World], None]


def finds(probe: Any, name: str, found: object) -> Ail:
    """A machine on which this probe finds that."""
    return lambda world: world.set(probe, name, found)


def machine(**changed: object) -> Ail:
    return lambda world: setattr(world, "machine", SPARK.model_copy(update=changed))


def image(found: Image | None) -> Ail:
    return lambda world: setattr(world, "image", found)


FALLEN = "[ 3600.000000] NVRM: Xid (PCI:000f:01:00): 79, GPU has fallen off the bus."
CRASHED = "[ 3600.000000] NVRM: Xid (PCI:000f:01:00): 31, pid=4711, name=python, MMU Fault."
UNHEARD = "[ 3600.000000] NVRM: Xid (PCI:000f:01:00): 9999, pid=4711, name=python, what nobody knows."


HEALTHY: dict[str, tuple[tuple[str, ...], Ail]] = {
    "the oldest engine in use, with the nvidia runtime": (
        ("DOCKER-REACHABLE", "DOCKER-API", "DOCKER-ROOTFUL", "DOCKER-GPU"),
        finds(engine_answer, "ask", engine("nvidia-runtime-20")),
    ),
    "an engine that gives GPUs by the toolkit's hook": (
        ("DOCKER-GPU",),
        finds(engine_answer, "ask", replace(engine("x86_64-28"), gpu_ways=("/usr/bin/nvidia-container-runtime-hook",))),
    ),
    "a closed kernel module of the same version as its library": (
        ("DRIVER-AGREES",),
        finds(kernel_module, "read", kernel_module.KernelModule("580.126.09", is_open=False)),
    ),
    "a machine on which a program crashed": (("GPU-XID",), finds(kernel_log, "read", log(CRASHED))),
    "the newest driver that NVIDIA supports": (("DRIVER-BRANCH",), finds(nvml, "read", driver("594.99"))),
    "a machine without swap": (("SWAP-UNUSED",), finds(memory, "read", memory.Memory(121.6, 110.0, 0.0, 0.0))),
    "a machine with another system than DGX OS": (("FIRMWARE-RECORDED",), machine(dgx_release=None)),
}


@pytest.mark.parametrize(("ids", "other"), HEALTHY.values(), ids=HEALTHY)
def test_a_machine_that_is_healthy_in_another_way_passes_too(world: World, ids: tuple[str, ...], other: Ail) -> None:
    other(world)
    assert counts(world.run(*ids)) == {"passed": len(ids)}


def test_architectures_agree_on_an_intel_machine_as_well(world: World) -> None:
    """Docker calls it amd64 in an image and x86_64 in an engine, as the kernel does."""
    world.machine = SPARK.model_copy(update={"architecture": "x86_64"})
    world.image = IMAGE.model_copy(update={"architecture": "amd64"})
    world.set(engine_answer, "ask", engine("x86_64-28"))
    assert counts(world.run("DOCKER-ARCHITECTURE", "IMAGE-ARCHITECTURE")) == {"passed": 2}


@pytest.mark.parametrize("busy", [0, 1])
def test_whoever_computes_on_any_of_the_gpus_is_found(world: World, monkeypatch: pytest.MonkeyPatch, busy: int) -> None:
    world.machine = SPARK.model_copy(update={"gpus": (GB10, GB10.model_copy(update={"index": 1, "uuid": "GPU-1"}))})
    assert ended(world.run("HOST-GPU-IDLE"), "passed")
    monkeypatch.setattr(nvml, "compute_processes", lambda index: [4711] if index == busy else [])
    result = world.run("HOST-GPU-IDLE")
    assert ended(result, "inconclusive")
    assert f"other processes compute on this machine (GPU {busy}: " in result.stdout.str()


SICK: list[tuple[str, Ail, str, str]] = [
    (
        "CLOCK-SYNCHRONISED",
        finds(clock, "read", clock.Clock(synchronised=False, max_error_s=0.1)),
        "clock is synchronised is False, required == True",
        "sudo timedatectl set-ntp true",
    ),
    (
        "CLOCK-SYNCHRONISED",
        finds(clock, "read", clock.Clock(synchronised=True, max_error_s=4.01)),
        "largest possible error is 4.01 s, required <= 4 s",
        "sudo timedatectl set-ntp true",
    ),
    (
        "IMAGE-ARCHITECTURE",
        image(IMAGE.model_copy(update={"architecture": "amd64"})),
        "architecture of the image is x86_64, required == aarch64",
        "make image",
    ),
    (
        "CONTAINER-COMPUTES",
        finds(container, "read", NO_TOOLKIT),
        "the engine has no NVIDIA Container Toolkit, or it is not configured",
        "sudo apt install nvidia-container-toolkit",
    ),
    (
        "CONTAINER-COMPUTES",
        finds(container, "read", computed("cuda:0 (NVIDIA GB10)", wrong=3)),
        "wrong products is 3, required == 0",
        "see KERNEL-CORRECT",
    ),
    (
        "CONTAINER-COMPUTES",
        finds(container, "read", computed("cuda:0 (NVIDIA GB10)", "cuda:1 (NVIDIA GB10)")),
        "devices in the container is 2 device, required == 1 device",
        "nvidia-smi -L",
    ),
    (
        "CONTAINER-COMPUTES",
        finds(container, "read", computed()),
        "devices in the container is 0 device, required == 1 device",
        "docker run --rm --gpus all",
    ),
    (
        "DISK-SPACE",
        finds(disk, "read", disk.Disk("/var/lib/docker", 59.9)),
        "free disk is 59.9 GiB, required >= 60 GiB",
        "docker system prune",
    ),
    (
        "DRIVER-AGREES",
        finds(nvml, "read", half_updated()),
        "library fits the module is False, required == True",
        "sudo reboot",
    ),
    (
        "DRIVER-AGREES",
        finds(kernel_module, "read", kernel_module.KernelModule("580.95.05", is_open=True)),
        "version of the library is 580.126.09, required == 580.95.05",
        "sudo reboot",
    ),
    (
        "DRIVER-BRANCH",
        finds(nvml, "read", driver("575.64.03")),
        "driver branch is 575 driver branch, required >= 580 driver branch",
        "sudo apt full-upgrade",
    ),
    (
        "DRIVER-BRANCH",
        finds(nvml, "read", driver("595.10")),
        "driver branch is 595 driver branch, required <= 594 driver branch",
        "go back to the branch",
    ),
    (
        "DOCKER-REACHABLE",
        finds(engine_answer, "ask", STOPPED),
        "is not running: nothing listens on it",
        "sudo systemctl start docker",
    ),
    (
        "DOCKER-API",
        finds(engine_answer, "ask", engine("docker-1.12")),
        "newest API of the engine is 24 API 1.x, required >= 40 API 1.x",
        "version 20.10 or newer",
    ),
    (
        "DOCKER-API",
        finds(engine_answer, "ask", engine("docker-90")),
        "oldest API of the engine is 90 API 1.x, required <= 45 API 1.x",
        "git pull && make setup",
    ),
    (
        "DOCKER-ROOTFUL",
        finds(engine_answer, "ask", engine("rootless-28")),
        "engine runs as root is False, required == True",
        "docker context use default",
    ),
    (
        "DOCKER-ARCHITECTURE",
        finds(engine_answer, "ask", engine("x86_64-28")),
        "architecture of the engine is x86_64, required == aarch64",
        "uname -m",
    ),
    (
        "DOCKER-GPU",
        finds(engine_answer, "ask", engine(DiscoveredDevices=[])),
        "no nvidia runtime, no CDI specification, no NVIDIA Container Toolkit",
        "sudo nvidia-ctk runtime configure",
    ),
    (
        "FIRMWARE-RECORDED",
        machine(firmware=""),
        "kernel and firmware are known is False, required == True",
        "fwupdmgr get-devices",
    ),
    (
        "GPU-XID",
        finds(kernel_log, "read", log(FALLEN)),
        "faults in the kernel log is 1 event, required <= 0 event",
        "sudo reboot",
    ),
    (
        "GPU-XID",
        finds(kernel_log, "read", log(FALLEN, FALLEN, UNHEARD)),
        "faults in the kernel log is 2 event, required <= 0 event",
        "sudo reboot",
    ),
    (
        "MEMORY-AVAILABLE",
        finds(memory, "read", memory.Memory(121.6, 79.9, 15.0, 0.0)),
        "MemAvailable is 79.9 GiB, required >= 80 GiB",
        "ps aux --sort=-rss",
    ),
    (
        "SWAP-UNUSED",
        finds(memory, "read", memory.Memory(121.6, 110.0, 15.0, 2.1)),
        "swap in use is 2.1 GiB, required <= 2 GiB",
        "sudo swapoff -a",
    ),
]


@pytest.mark.parametrize(("id", "ail", "said", "step"), SICK, ids=[f"{row[0]}-{row[2][:30]}" for row in SICK])
def test_a_sick_machine_fails_with_what_was_found_and_what_to_do(
    world: World, id: str, ail: Ail, said: str, step: str
) -> None:
    ail(world)
    result = world.run(id)
    assert ended(result, "failed")
    printed = result.stdout.str()
    assert said in printed
    assert step in printed[printed.index(f"--- {id}: what to do ---") :]


NOT_ASKED = Inconclusive("no instrument answered", "Look for it.")

UNSEEN: list[tuple[str, Ail, str]] = [
    ("CLOCK-SYNCHRONISED", finds(clock, "read", NOT_ASKED), "no instrument answered"),
    ("IMAGE-ARCHITECTURE", image(None), "this run uses no container image"),
    ("CONTAINER-COMPUTES", image(None), "this run uses no container image"),
    ("CONTAINER-COMPUTES", finds(container, "read", NOT_ASKED), "no instrument answered"),
    ("DISK-SPACE", finds(disk, "read", NOT_ASKED), "no instrument answered"),
    ("DRIVER-AGREES", finds(kernel_module, "read", NOT_ASKED), "no instrument answered"),
    ("DRIVER-AGREES", finds(nvml, "read", Inconclusive("the driver hangs", "Look for it.")), "the driver hangs"),
    ("DRIVER-AGREES", finds(nvml, "read", driver(None)), "no driver is loaded"),
    ("DRIVER-BRANCH", finds(nvml, "read", half_updated()), "the driver is only half updated"),
    ("DRIVER-BRANCH", finds(nvml, "read", driver(None)), "no driver is loaded"),
    ("DRIVER-BRANCH", finds(nvml, "read", driver("unknown")), "has no branch"),
    ("DOCKER-REACHABLE", finds(engine_answer, "ask", SILENT), "accepts the request and does not answer"),
    ("DOCKER-API", finds(engine_answer, "ask", STOPPED), "the container engine does not answer"),
    ("DOCKER-ROOTFUL", finds(engine_answer, "ask", STOPPED), "the container engine does not answer"),
    ("DOCKER-ARCHITECTURE", finds(engine_answer, "ask", SILENT), "the container engine does not answer"),
    ("DOCKER-GPU", finds(engine_answer, "ask", STOPPED), "the container engine does not answer"),
    (
        "FIRMWARE-RECORDED",
        machine(firmware=None, unreadable={"firmware": "Permission denied"}),
        "the firmware of this machine could not be read: Permission denied",
    ),
    ("HOST-GPU-IDLE", finds(nvml, "compute_processes", [4711]), "other processes compute on this machine (GPU 0: "),
    (
        "HOST-GPU-IDLE",
        finds(nvml, "compute_processes", OSError("GPU is lost")),
        "could not be checked: OSError: GPU is lost",
    ),
    ("GPU-XID", finds(kernel_log, "read", NOT_ASKED), "no instrument answered"),
    ("GPU-XID", finds(kernel_log, "read", log(UNHEARD)), "the kernel log holds what is in no table here"),
    ("MEMORY-AVAILABLE", finds(memory, "read", NOT_ASKED), "no instrument answered"),
    ("SWAP-UNUSED", finds(memory, "read", NOT_ASKED), "no instrument answered"),
]


@pytest.mark.parametrize(("id", "ail", "said"), UNSEEN, ids=[f"{row[0]}-{row[2][:30]}" for row in UNSEEN])
def test_what_could_not_be_looked_at_is_inconclusive_and_says_why(world: World, id: str, ail: Ail, said: str) -> None:
    ail(world)
    result = world.run(id)
    assert ended(result, "inconclusive")
    printed = result.stdout.str()
    assert said in printed
    assert f"--- {id}: what to do ---" in printed, "there is always a way to look again"


def test_every_requirement_of_the_host_has_met_a_sick_machine_and_an_unseen_one() -> None:
    assert {row[0] for row in UNSEEN} == set(DECLARED)
    assert {row[0] for row in SICK} == set(DECLARED) - {"HOST-GPU-IDLE"}, "an idle notebook is no fault of the machine"
