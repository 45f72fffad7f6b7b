"""The runtime: whether a run works in the container or in this very environment.

Standard library only: `scripts/setup.py` asks before anything is installed.
"""

import os
from enum import StrEnum
from pathlib import Path

CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Files that Docker and Podman leave in every container."""

REHEARSAL = "cpu"


class Runtime(StrEnum):
    """Where the work of a run is done."""

    DOCKER = "docker"
    NATIVE = "native"


class RuntimeChoice(StrEnum):
    """What a user may ask for."""

    AUTO = "auto"
    DOCKER = "docker"
    NATIVE = "native"


def resolve(asked: RuntimeChoice, profile: str) -> tuple[Runtime, str]:
    """The runtime of a run and, where it was not asked for, why.

    An engine that is missing or does not answer is no reason to measure something else: the host stage says what is
    wrong with it.
    """
    if asked is not RuntimeChoice.AUTO:
        return Runtime(asked.value), ""
    if inside_container():
        return Runtime.NATIVE, "this is a container already"
    if profile == REHEARSAL:
        return Runtime.NATIVE, "a rehearsal needs no container; RUNTIME=docker rehearses in one"
    return Runtime.DOCKER, ""


def inside_container() -> bool:
    """Whether this process runs in a container of Docker, Podman or Kubernetes."""
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(mark.exists() for mark in CONTAINER_MARKS)
