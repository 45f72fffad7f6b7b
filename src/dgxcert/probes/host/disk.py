"""Disk: the free space where images, models and results are kept."""

import os
from dataclasses import dataclass
from pathlib import Path

from dgxcert.container import engine_answer
from dgxcert.container.engine_answer import Engine
from dgxcert.outcome import Inconclusive

BYTES_PER_GIB = 1024**3


@dataclass(frozen=True)
class Disk:
    """Space in GiB that an ordinary user may fill, and the folder it was measured for."""

    path: str
    free_gib: float


def read() -> Disk:
    """Free space where the engine keeps images and volumes, or without an engine where the Hub's cache is.

    Raises Inconclusive where that folder cannot be checked.
    """
    engine = engine_answer.ask()
    if isinstance(engine, Engine):
        return measure(Path(engine.root))
    return measure(Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser())


def measure(path: Path) -> Disk:
    """Free space at a folder, measured at the nearest ancestor that can be read: it is on the same disk.

    >>> measure(Path("/tmp/not/yet/created")).path
    '/tmp/not/yet/created'
    """
    for folder in (path, *path.parents):
        try:
            status = os.statvfs(folder)
        except (FileNotFoundError, PermissionError):  # not created yet, or root's, as /var/lib/docker is
            continue
        except OSError as error:
            raise Inconclusive(f"{folder} cannot be checked: {error.strerror}", f"Try: df -h {folder}") from error
        # f_bavail and not f_bfree: ext4 reserves 5 % for root.
        return Disk(str(path), status.f_bavail * status.f_frsize / BYTES_PER_GIB)
    raise Inconclusive(f"no folder above {path} can be checked", f"Try: df -h {path}")
