"""Disk: how much room there is where images, models and results are kept."""

import os
from dataclasses import dataclass
from pathlib import Path

from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import docker_engine

BYTES_PER_GIB = 1024**3


@dataclass(frozen=True)
class Disk:
    """Room in GiB for an ordinary user, and the folder that was asked about."""

    path: str
    free_gib: float


def read() -> Disk:
    """The room where the engine keeps images and volumes, or without an engine where the Hub's cache lies.

    Raises Inconclusive where that folder cannot be looked at.
    """
    engine = docker_engine.reach()
    if isinstance(engine, docker_engine.Engine):
        return measure(Path(engine.root))
    return measure(Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser())


def measure(path: Path) -> Disk:
    """The room at a folder, or at the nearest one above it that may be looked at: it lies on the same disk."""
    for folder in (path, *path.parents):
        try:
            found = os.statvfs(folder)
        except (FileNotFoundError, PermissionError):
            continue
        except OSError as error:
            raise Inconclusive(f"{folder} cannot be looked at: {error.strerror}", f"Try: df -h {folder}") from error
        return Disk(str(path), found.f_bavail * found.f_frsize / BYTES_PER_GIB)
    raise Inconclusive(f"no folder above {path} can be looked at", f"Try: df -h {path}")
