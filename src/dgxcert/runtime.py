"""The runtime: whether a run works in the container or in this very environment.

Standard library only: `scripts/setup.py` asks before anything is installed.
"""

import os
import shutil
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

SOCKET = Path("/var/run/docker.sock")
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Files that Docker and Podman leave in every container."""

REHEARSAL = "cpu"


class Runtime(StrEnum):
    """Where the work of a run is done."""

    DOCKER = "docker"
    NATIVE = "native"


class Asked(StrEnum):
    """What a user may ask for."""

    AUTO = "auto"
    DOCKER = "docker"
    NATIVE = "native"


def resolve(asked: Asked, profile: str) -> tuple[Runtime, str]:
    """The runtime of a run and, where it was not asked for, why.

    An engine that is installed and does not answer is still the container's: the host stage then says what is wrong.
    """
    if asked is not Asked.AUTO:
        return Runtime(asked.value), ""
    if inside_container():
        return Runtime.NATIVE, "this is a container already"
    if profile == REHEARSAL:
        return Runtime.NATIVE, "a rehearsal needs no container; RUNTIME=docker rehearses in one"
    if not engine_installed(os.environ):
        return Runtime.NATIVE, "there is no container engine here"
    return Runtime.DOCKER, ""


def inside_container() -> bool:
    """Whether this process runs in a container of Docker, Podman or Kubernetes."""
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(mark.exists() for mark in CONTAINER_MARKS)


def engine_installed(environment: Mapping[str, str]) -> bool:
    """Whether there is a Docker engine or client here, whatever its state."""
    return bool(environment.get("DOCKER_HOST")) or shutil.which("docker") is not None or SOCKET.exists()
