"""The runtime: whether a run works in the container or in this Python environment.

Standard library only: `scripts/setup.py` imports it before anything is installed.
"""

import os
from enum import StrEnum
from pathlib import Path

CONTAINER_FILES = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Files that Docker and Podman create in every container."""

REHEARSAL = "cpu"


class Runtime(StrEnum):
    """Where the work of a run is done."""

    DOCKER = "docker"
    NATIVE = "native"


class RuntimeChoice(StrEnum):
    """The values of `--runtime`."""

    AUTO = "auto"
    DOCKER = "docker"
    NATIVE = "native"


def resolve(choice: RuntimeChoice, profile: str) -> tuple[Runtime, str]:
    """The runtime of a run, and the reason where the user left the choice open.

    A missing engine does not change it: measuring natively would be another measurement, and the host stage reports
    what is wrong with the engine.

    >>> resolve(RuntimeChoice.NATIVE, "dgx-spark")
    (<Runtime.NATIVE: 'native'>, '')
    """
    if choice is not RuntimeChoice.AUTO:
        return Runtime(choice.value), ""
    if inside_container():
        return Runtime.NATIVE, "this process already runs in a container"
    if profile == REHEARSAL:
        return Runtime.NATIVE, "a rehearsal needs no container; RUNTIME=docker rehearses in one"
    return Runtime.DOCKER, ""


def inside_container() -> bool:
    """Whether this process runs in a container of Docker, Podman or Kubernetes."""
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(path.exists() for path in CONTAINER_FILES)
