"""The container engine, through the Docker SDK: what it is, or which of the known causes keeps it from answering.

Run as `python -m dgxcert.probes.host.docker_engine` it asks once and prints what came back as JSON. The engine is asked
from a process of its own, because a socket that takes a question and never answers must not take us along.
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from dgxcert.container.engine import QUESTION_S as LIMIT_S
from dgxcert.container.engine import question
from dgxcert.machine.image import kernel_architecture
from dgxcert.machine.runtime import inside_container
from dgxcert.outcome import Inconclusive

ANSWER_S = 3
"""For each of the three questions; together within the limit."""

DEFAULT_ENDPOINT = "unix:///var/run/docker.sock"
DAEMON_PLACES = "/usr/bin:/usr/sbin:/usr/local/bin:/snap/bin"
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}

OWN_ENGINE = ("Use this machine's own engine: unset DOCKER_HOST DOCKER_CONTEXT; docker context use default",)

GIVES_GPUS = ("nvidia-container-runtime-hook", "nvidia-container-runtime")
"""Programs of the NVIDIA Container Toolkit, any of which an engine can give GPUs to a container with."""

FIRST_WITH_DEVICE_REQUESTS = 40
WHY_NEEDED = (
    "API 1.40 (Docker 19.03) brought device requests, by which a container gets GPUs; the SDK has its own least"
)


@dataclass(frozen=True)
class Engine:
    """What an engine says of itself. API versions are the digits after `1.`, the only ones that ever change."""

    endpoint: str
    version: str
    api: int
    oldest_api: int
    sdk_api: int
    oldest_sdk_api: int
    architecture: str
    root: str
    rootless: bool
    gpu_ways: tuple[str, ...]

    @property
    def needed_api(self) -> int:
        """The oldest API with which the suite can work."""
        return max(self.oldest_sdk_api, FIRST_WITH_DEVICE_REQUESTS)

    @property
    def says(self) -> str:
        """Where this was read, for a record."""
        return f"Docker SDK, engine {self.version} at {self.endpoint}"


@dataclass(frozen=True)
class Trouble:
    """Why an engine does not answer: what was found, whether that is a finding about this machine, what to do."""

    endpoint: str
    found: str
    remedy: tuple[str, ...]
    conclusive: bool


@dataclass(frozen=True)
class Answer:
    """Whether the engine answers, and if not, why and what to do."""

    answers: bool
    says: str
    remedy: tuple[str, ...] = ()


def judged() -> Answer:
    """Whether the engine answers; raises Inconclusive where that is no finding about this machine."""
    found = reach()
    if isinstance(found, Engine):
        return Answer(True, found.says)
    if not found.conclusive:
        raise Inconclusive(found.found, *found.remedy)
    return Answer(False, found.found, found.remedy)


def reach() -> Engine | Trouble:
    """The engine, or what is in the way of it."""
    asked = question()
    if asked.timed_out:
        return silent(os.environ.get("DOCKER_HOST") or "the current context's endpoint")
    if asked.returncode != 0 and inside_container():
        return Trouble("", "this is a container: its engine is outside", ("Outside, run: make validate",), False)
    if asked.returncode != 0:
        return Trouble("", f"the question could not be asked: {asked.complaint}", ("Install anew: make setup",), False)
    answer = json.loads(asked.stdout)
    if "found" in answer:
        return Trouble(**{**answer, "remedy": tuple(answer["remedy"])})
    return Engine(**{**answer, "gpu_ways": tuple(answer["gpu_ways"])})


def read() -> Engine:
    """The engine; raises Inconclusive where it does not answer, which DOCKER-REACHABLE judges."""
    found = reach()
    if isinstance(found, Trouble):
        raise Inconclusive(f"the container engine does not answer: {found.found}", "See DOCKER-REACHABLE first.")
    return found


def silent(endpoint: str) -> Trouble:
    """An engine that takes the question and does not answer."""
    return Trouble(
        endpoint,
        f"{endpoint} takes the question and does not answer within {LIMIT_S:.0f} s",
        (
            "Look at it: systemctl status docker; journalctl -u docker | tail -50",
            "Start it anew: sudo systemctl restart docker",
            "Still silent: a full disk or a hung driver holds it; df -h /var/lib/docker, then restart the machine.",
        ),
        conclusive=False,
    )


def parse(endpoint: str, version: dict[str, Any], info: dict[str, Any], sdk: tuple[str, str]) -> Engine:
    """The engine from what `/version` and `/info` answer; `sdk` is the oldest and newest API that the SDK speaks."""
    return Engine(
        endpoint=endpoint,
        version=str(version.get("Version", "unknown")),
        api=minor(version["ApiVersion"]),
        oldest_api=minor(version.get("MinAPIVersion", version["ApiVersion"])),
        sdk_api=minor(sdk[1]),
        oldest_sdk_api=minor(sdk[0]),
        architecture=kernel_architecture(str(info.get("Architecture") or version.get("Arch", ""))),
        root=str(info.get("DockerRootDir", "")),
        rootless=any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
        gpu_ways=tuple(_gpu_ways(info)),
    )


def minor(version: str) -> int:
    """41 of `1.41`."""
    return int(version.partition(".")[2])


def architecture(engine: Engine) -> str:
    """Its processor as a kernel calls it; raises Inconclusive where the engine does not say."""
    if not engine.architecture:
        raise Inconclusive(f"{engine.says} does not say for which processor it is", "Ask it: docker info")
    return engine.architecture


def _gpu_ways(info: dict[str, Any]) -> Iterator[str]:
    """The ways in which this engine may give a GPU to a container, as far as can be seen without trying."""
    if "nvidia" in (info.get("Runtimes") or {}):
        yield "runtime nvidia"
    ids = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or ()]
    yield from (f"CDI device {name}" for name in ids if name.startswith("nvidia.com/"))
    for folder in info.get("CDISpecDirs") or ():  # none: this engine is too old for CDI, or it is switched off
        with contextlib.suppress(OSError):
            yield from (f"CDI spec {folder}/{name}" for name in sorted(os.listdir(folder)) if "nvidia" in name)
    yield from (found for name in GIVES_GPUS if (found := shutil.which(name, path=DAEMON_PLACES)))


def diagnose(error: BaseException, endpoint: str, *, chosen: bool) -> Trouble:
    """Which of the known causes an error of the SDK comes from; `chosen` says that the user named the endpoint."""
    kinds = list(_chain(error))
    if any(isinstance(each, FileNotFoundError) for each in kinds):
        return _no_socket(endpoint, chosen=chosen)
    if any(isinstance(each, ConnectionRefusedError) for each in kinds):
        return _stopped(endpoint, "nobody listens on it")
    if any(isinstance(each, PermissionError) for each in kinds):
        return Trouble(
            endpoint,
            f"this user may not use {endpoint}",
            (
                "Join the group, then log in anew: sudo usermod -aG docker $USER",
                "Members of that group have the rights of root: if that is not wanted, run with sudo.",
            ),
            conclusive=False,
        )
    if any(isinstance(each, TimeoutError) or "timed out" in str(each).lower() for each in kinds):
        return silent(endpoint)
    words = " ".join(str(error).split())[:300]
    if "too old" in words or "too new" in words or "InvalidVersion" in type(error).__name__:
        return Trouble(
            endpoint,
            f"its API and this Docker SDK's do not meet: {words}",
            (
                "Update Docker Engine: version 20.10 or newer.",
                "Newer than this suite: make setup, from a newer dgxcert.",
            ),
            conclusive=True,
        )
    return Trouble(endpoint, words, ("Ask it by hand: docker version", "Read: journalctl -u docker | tail -50"), False)


def _no_socket(endpoint: str, *, chosen: bool) -> Trouble:
    if chosen:
        return Trouble(
            endpoint,
            f"DOCKER_HOST or the Docker context names {endpoint}, and there is no such socket",
            OWN_ENGINE,
            conclusive=False,
        )
    if shutil.which("dockerd", path=DAEMON_PLACES):
        return _stopped(endpoint, "Docker Engine is installed and its socket is not there")
    return Trouble(
        endpoint,
        f"there is no {endpoint} and no dockerd: Docker Engine is not installed",
        (
            "Look for it: dpkg -l | grep -iE 'docker|containerd'",
            "Install it: sudo apt install docker.io (or Docker's own packages), then the NVIDIA Container Toolkit.",
            "DGX OS brings both, so ask who removed them. Without containers, and a certificate: RUNTIME=native.",
        ),
        conclusive=True,
    )


def _stopped(endpoint: str, how: str) -> Trouble:
    return Trouble(
        endpoint,
        f"the engine behind {endpoint} is not running: {how}",
        (
            "Look why: systemctl status docker; journalctl -u docker | tail -50",
            "Start it: sudo systemctl start docker; for every start of the machine: sudo systemctl enable docker",
        ),
        conclusive=True,
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error with all that it stems from: the SDK wraps, and its HTTP library keeps causes among the arguments."""
    waiting, seen = [error], set()
    while waiting:
        if id(each := waiting.pop()) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [item for item in (each.__cause__, each.__context__, *each.args) if isinstance(item, BaseException)]


def local(endpoint: str) -> bool:
    """Whether an endpoint leads to an engine on this machine."""
    parts = urlsplit(endpoint if "://" in endpoint else f"tcp://{endpoint}")
    return parts.scheme in {"unix", "http+unix"} or (parts.hostname or "") in LOCAL_HOSTS


def where() -> tuple[str, bool]:
    """The endpoint in force, by the rules of Docker's own CLI, and whether somebody chose it.

    Raises LookupError for a context that there is not.
    """
    from docker.context import ContextAPI

    if host := os.environ.get("DOCKER_HOST"):
        return host, True
    name = os.environ.get("DOCKER_CONTEXT")
    if ContextAPI.get_context(name) is None:
        raise LookupError(f"there is no Docker context {name or 'of the name that is set as current'}")
    found = ContextAPI.kwargs_from_context(environment=os.environ).get("base_url", "")
    endpoint = str(found or DEFAULT_ENDPOINT).replace("http+unix:", "unix:")
    return endpoint, endpoint != DEFAULT_ENDPOINT


def ask() -> Engine | Trouble:
    """Ask the engine in this process."""
    import docker
    from docker import constants, errors

    try:
        endpoint, chosen = where()
    except Exception as error:
        return Trouble("", f"Docker's contexts cannot be followed: {' '.join(str(error).split())}", OWN_ENGINE, False)
    if not local(endpoint):
        return Trouble(
            endpoint,
            f"{endpoint} is on another machine, so this machine's own engine was not looked at",
            OWN_ENGINE,
            conclusive=False,
        )
    try:
        client = docker.DockerClient(base_url=endpoint, timeout=ANSWER_S, version="auto")
        sdk = (constants.MINIMUM_DOCKER_API_VERSION, constants.DEFAULT_DOCKER_API_VERSION)
        return parse(endpoint, client.version(), client.info(), sdk)
    except (errors.DockerException, OSError) as error:
        return diagnose(error, endpoint, chosen=chosen)


if __name__ == "__main__":
    json.dump(asdict(ask()), sys.stdout)
