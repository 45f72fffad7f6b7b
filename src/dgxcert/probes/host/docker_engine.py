"""The container engine, through the Docker SDK: what it is, or which of the known causes keeps it from answering.

Run as `python -m dgxcert.probes.host.docker_engine` it queries the engine once and prints the answer as JSON:
`dgxcert.container.engine_answer` starts that process and reads it.
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

from dgxcert.container import engine_answer, engine_kind
from dgxcert.container.engine_answer import Engine, EngineProblem
from dgxcert.container.engine_kind import EngineKind
from dgxcert.machine.image import kernel_architecture
from dgxcert.machine.runtime import inside_container
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host.engine import cdi, daemon_log

REQUEST_S = 3
"""Time limit of each of the three requests; together within the limit of the process."""

DEFAULT_ENDPOINT = "unix:///var/run/docker.sock"
CONTAINERD = "/var/lib/containerd"
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}

INSTALL = (
    Trait.DGX_OS.only("Install it again from NVIDIA's repository, of which it is a part: sudo apt install docker-ce"),
    Trait.OTHER_OS.only("Install it, on Ubuntu and Debian: sudo apt install docker.io"),
)

OWN_ENGINE = ("Use this machine's own engine: unset DOCKER_HOST DOCKER_CONTEXT; docker context use default",)

TOOLKIT_PROGRAMS = ("nvidia-container-runtime-hook", "nvidia-container-runtime")
"""Programs of the NVIDIA Container Toolkit; with any of them an engine can give GPUs to a container."""

NEEDED_API_SOURCE = (
    "API 1.40 (Docker 19.03) brought device requests, by which a container gets GPUs; the SDK has its own minimum"
)


@dataclass(frozen=True)
class Reachability:
    """Whether the engine answers; `source` names the engine or the problem, `remedy` what to do about it."""

    reachable: bool
    source: str
    remedy: tuple[str, ...] = ()


def reachability() -> Reachability:
    """Whether the engine answers; raises Inconclusive where the problem is not one of this machine."""
    answer = engine_answer.ask()
    if isinstance(answer, Engine):
        return Reachability(True, answer.source)
    if not answer.conclusive:
        raise Inconclusive(answer.problem, *answer.remedy)
    return Reachability(False, answer.problem, answer.remedy)


def read() -> Engine:
    """The engine; raises Inconclusive where it does not answer, which DOCKER-REACHABLE judges."""
    answer = engine_answer.ask()
    if isinstance(answer, EngineProblem):
        raise Inconclusive(f"the container engine does not answer: {answer.problem}", "Fix DOCKER-REACHABLE first.")
    return answer


def parse(endpoint: str, version: dict[str, Any], info: dict[str, Any], sdk: tuple[str, str]) -> Engine:
    """The engine from the bodies of `/version` and `/info`; `sdk` is the oldest and newest API of the Docker SDK.

    >>> version = {"Version": "29.2.1", "ApiVersion": "1.53", "MinAPIVersion": "1.44", "Arch": "arm64"}
    >>> info = {"Architecture": "aarch64", "DockerRootDir": "/var/lib/docker", "SecurityOptions": ["name=cgroupns"],
    ...         "Runtimes": {"runc": {}}, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]}
    >>> engine = parse("unix:///var/run/docker.sock", version, info, sdk=("1.24", "1.45"))
    >>> engine.api, engine.oldest_api, engine.needed_api, engine.rootless
    (53, 44, 40, False)
    >>> engine.gpu_ways[0]
    'CDI device nvidia.com/gpu=all'
    """
    kind = engine_kind.of_answer(version, info)
    return Engine(
        endpoint=endpoint,
        version=str(version.get("Version", "unknown")),
        api=minor(version["ApiVersion"]),
        # An engine older than 1.12 names no MinAPIVersion and serves only its own.
        oldest_api=minor(version.get("MinAPIVersion", version["ApiVersion"])),
        sdk_api=minor(sdk[1]),
        oldest_sdk_api=minor(sdk[0]),
        # /info has the kernel's word, /version Go's (`arm64`).
        architecture=kernel_architecture(str(info.get("Architecture") or version.get("Arch", ""))),
        root=str(info.get("DockerRootDir", "")),
        rootless=any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
        gpu_ways=tuple(_gpu_ways(info, kind)),
        kind=kind,
        image_store=_image_store(info),
    )


def _image_store(info: dict[str, Any]) -> str:
    """The folder of images in containerd's store, which new installations of Docker 29 use; else they are in the root.

    A rootless engine starts a containerd of its own, below its root (docs.docker.com/engine/storage/containerd).

    >>> _image_store({"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]})
    '/var/lib/containerd'
    """
    in_containerd = any("io.containerd.snapshotter" in str(value) for value in info.get("DriverStatus") or ())
    rootless = any("name=rootless" in option for option in info.get("SecurityOptions") or ())
    return CONTAINERD if in_containerd and not rootless else ""


def minor(version: str) -> int:
    """The minor number of an API version.

    >>> minor("1.41")
    41
    """
    return int(version.partition(".")[2])


def gpu_remedy(engine: Engine) -> tuple[str, ...]:
    """How an engine of this kind learns to give GPUs away.

    >>> snap = parse("unix:///x", {"ApiVersion": "1.53"}, {"DockerRootDir": "/var/snap/docker/x"}, ("1.24", "1.45"))
    >>> gpu_remedy(snap)[2]
    'Configure it: sudo snap restart docker.nvidia-container-toolkit && sudo snap restart docker.dockerd'
    """
    steps = (
        "Look for them: nvidia-ctk --version; docker info --format '{{json .Runtimes}}'; ls /etc/cdi /var/run/cdi",
        "Install the toolkit: sudo apt install nvidia-container-toolkit",
        "Configure it: $configure",
    )
    return engine.kind.steps(steps)


def architecture(engine: Engine) -> str:
    """The engine's architecture by the kernel's name; raises Inconclusive where the engine does not report it."""
    if not engine.architecture:
        raise Inconclusive(f"{engine.source} does not report its architecture", "Run: docker info")
    return engine.architecture


def _gpu_ways(info: dict[str, Any], kind: EngineKind) -> Iterator[str]:
    """The ways by which this engine may give a GPU to a container, as far as is known without starting one."""
    if "nvidia" in (info.get("Runtimes") or {}):
        yield "runtime nvidia"
    ids = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or ()]
    yield from (f"CDI device {name}" for name in ids if name.startswith("nvidia.com/"))
    folders = info.get("CDISpecDirs") or ()  # none: this engine is too old for CDI, or CDI is switched off
    for folder in cdi.FOLDERS if kind is engine_kind.PODMAN else folders:
        with contextlib.suppress(OSError):
            yield from (f"CDI spec {folder}/{name}" for name in sorted(os.listdir(folder)) if "nvidia" in name)
    yield from (path for name in TOOLKIT_PROGRAMS if (path := shutil.which(name, path=engine_kind.DAEMON_PATH)))


def diagnose(error: BaseException, endpoint: str, *, selected: bool) -> EngineProblem:
    """The known cause behind an error of the SDK; `selected` says that the user selected the endpoint."""
    chain = list(_chain(error))
    if any(isinstance(cause, FileNotFoundError) for cause in chain):
        return _no_socket(endpoint, selected=selected)
    if any(isinstance(cause, ConnectionRefusedError) for cause in chain):
        return _stopped(endpoint, "nothing listens on it")
    if any(isinstance(cause, PermissionError) for cause in chain):
        return EngineProblem(
            endpoint,
            f"this user may not use {endpoint}",
            (
                "Join the group, then log in again: sudo usermod -aG docker $USER",
                "Members of that group have the rights of root: if that is not wanted, run with sudo.",
            ),
            conclusive=False,
        )
    if any(isinstance(cause, TimeoutError) or "timed out" in str(cause).lower() for cause in chain):
        return engine_answer.unresponsive(endpoint)
    message = " ".join(str(error).split())[:300]
    if "too old" in message or "too new" in message or "InvalidVersion" in type(error).__name__:
        return EngineProblem(
            endpoint,
            f"it has no API version in common with this Docker SDK: {message}",
            (
                "Update Docker Engine to version 20.10 or newer; find its packages: dpkg -l | grep docker",
                "Update dgxcert if the engine is the newer one: git pull && make setup",
            ),
            conclusive=True,
        )
    steps = engine_kind.installed(endpoint).steps(("Run: docker version", "Read its log: $log"))
    return EngineProblem(endpoint, message, steps, conclusive=False)


def _no_socket(endpoint: str, *, selected: bool) -> EngineProblem:
    if selected:
        return EngineProblem(
            endpoint,
            f"DOCKER_HOST or the Docker context names {endpoint}, and there is no such socket",
            OWN_ENGINE,
            conclusive=False,
        )
    kind = engine_kind.installed(endpoint)
    if kind is not engine_kind.PODMAN and engine_kind.is_present(kind):
        return _stopped(endpoint, f"{kind.name} is installed and its socket is missing")
    podman = "; Podman is, which this suite cannot build its image with" if engine_kind.is_present(kind) else ""
    return EngineProblem(
        endpoint,
        f"there is no {endpoint} and no dockerd: Docker Engine is not installed{podman}",
        (
            "Check what is installed: dpkg -l | grep -iE 'docker|containerd'",
            *INSTALL,
            "Install what gives it GPUs: sudo apt install nvidia-container-toolkit",
            "To run without containers, which certifies nothing: make validate RUNTIME=native",
        ),
        conclusive=True,
    )


def _stopped(endpoint: str, detail: str) -> EngineProblem:
    kind = engine_kind.installed(endpoint)
    problem = f"{kind.name} behind {endpoint} is not running: {detail}"
    found = daemon_log.why_it_does_not_start(daemon_log.read(kind), kind)
    if found is not None:
        problem = f"{problem}; its log says that {found.meaning}: {found.sentence}"
        return EngineProblem(
            endpoint, problem, (*found.remedy, *kind.steps(("Read all of it: $log",))), conclusive=True
        )
    steps = ("Find out why: $status; $log", "Start it: $start")
    at_boot = ("At every boot: sudo systemctl enable docker",) if kind is engine_kind.DOCKER else ()
    return EngineProblem(endpoint, problem, (*kind.steps(steps), *at_boot), conclusive=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and everything that it was raised from."""
    # requests and urllib3 keep the kernel's error among their arguments and not as __cause__.
    pending, seen = [error], set()
    while pending:
        if id(current := pending.pop()) in seen:
            continue
        seen.add(id(current))
        yield current
        links = (current.__cause__, current.__context__, *current.args)
        pending += [link for link in links if isinstance(link, BaseException)]


def is_local(endpoint: str) -> bool:
    """Whether an endpoint leads to an engine on this machine.

    >>> is_local("unix:///var/run/docker.sock"), is_local("tcp://127.0.0.1:2375"), is_local("ssh://user@dgx-2")
    (True, True, False)
    """
    parts = urlsplit(endpoint if "://" in endpoint else f"tcp://{endpoint}")
    return parts.scheme in {"unix", "http+unix"} or (parts.hostname or "") in LOCAL_HOSTS


def selected_endpoint() -> tuple[str, bool]:
    """The endpoint in force, by the rules of Docker's own CLI, and whether the user selected it.

    Raises LookupError for a context that does not exist.
    """
    from docker.context import ContextAPI

    if host := os.environ.get("DOCKER_HOST"):
        return host, True
    name = os.environ.get("DOCKER_CONTEXT")
    if ContextAPI.get_context(name) is None:
        raise LookupError(f"there is no Docker context {name or 'of the name that is set as current'}")
    base_url = ContextAPI.kwargs_from_context(environment=os.environ).get("base_url", "")
    endpoint = str(base_url or DEFAULT_ENDPOINT).replace("http+unix:", "unix:")
    return endpoint, endpoint != DEFAULT_ENDPOINT


def elsewhere(info: dict[str, Any], here: os.uname_result) -> str:
    """What shows that an engine runs on another machine, or in a virtual one on this; empty where nothing does.

    Docker Desktop, colima, Rancher Desktop and a socket that ssh forwards all listen on a socket of this machine.

    >>> here = os.uname_result(("Linux", "dgx-1", "6.17.0-1021-nvidia", "#21", "aarch64"))
    >>> elsewhere({"KernelVersion": "6.12.54-linuxkit", "Name": "docker-desktop"}, here)
    'its kernel is 6.12.54-linuxkit, and 6.17.0-1021-nvidia runs here'
    >>> elsewhere({"KernelVersion": "6.17.0-1021-nvidia", "Name": "dgx-1"}, here)
    ''
    """
    kernel, name = str(info.get("KernelVersion") or ""), str(info.get("Name") or "")
    if kernel and kernel != here.release:
        return f"its kernel is {kernel}, and {here.release} runs here"
    # In a container that was given the machine's socket, the names differ and the machine is the same.
    if name and name.partition(".")[0] != here.nodename.partition(".")[0] and not inside_container():
        return f"it is called {name}, and this machine {here.nodename}"
    return ""


def query() -> Engine | EngineProblem:
    """The engine's answer, queried in this process through the Docker SDK."""
    import docker
    from docker import constants, errors

    try:
        endpoint, selected = selected_endpoint()
    except Exception as error:
        message = f"Docker's contexts cannot be read: {' '.join(str(error).split())}"
        return EngineProblem("", message, OWN_ENGINE, conclusive=False)
    if not is_local(endpoint):
        return EngineProblem(
            endpoint,
            f"{endpoint} is on another machine, so this machine's own engine was not checked",
            OWN_ENGINE,
            conclusive=False,
        )
    try:
        client = docker.DockerClient(base_url=endpoint, timeout=REQUEST_S, version="auto")
        sdk = (constants.MINIMUM_DOCKER_API_VERSION, constants.DEFAULT_DOCKER_API_VERSION)
        version, info = client.version(), client.info()
        if found := elsewhere(info, os.uname()):
            problem = f"{endpoint} is answered by another machine, so this one's own engine was not checked: {found}"
            return EngineProblem(endpoint, problem, OWN_ENGINE, conclusive=False)
        return parse(endpoint, version, info, sdk)
    except (errors.DockerException, OSError) as error:
        return diagnose(error, endpoint, selected=selected)


if __name__ == "__main__":
    json.dump(asdict(query()), sys.stdout)
