"""Disk: free space and inodes where models, data sets, images, results and temporary files really go."""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dgxcert.container import engine_answer, hub_home
from dgxcert.container.engine_answer import Engine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.hub.cache import places

BYTES_PER_GIB = 1024**3
UNCOUNTED_INODES = 2**32
"""Stands for those of a file system that makes inodes as needed, as btrfs and ZFS do: as many as ext4 can count."""
LOOK = (
    "Find what takes the space: df -h; df -i; docker image ls; du -sh ~/.cache/huggingface",
    "Remove images that nobody needs, each by its name: docker image rm NAME",
)
LARGER = (
    "Keep models on a larger disk: export HF_HUB_CACHE=/PATH/hub HF_DATASETS_CACHE=/PATH/datasets",
    "Keep temporary files on a larger disk: export TMPDIR=/PATH/tmp",
)
MOVED_BY = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", *places.LEGACY)
"""Variables that move a user's models."""


@dataclass(frozen=True)
class Disk:
    """Space in GiB that an ordinary user may fill, and the folder it was measured for."""

    path: str
    free_gib: float
    free_inodes: int = UNCOUNTED_INODES
    device: int = 0

    @property
    def source(self) -> str:
        """How it was measured, for evidence."""
        return f"statvfs of {self.path}"


@dataclass(frozen=True)
class Disks:
    """The disk for each purpose; several are often one."""

    models: Disk
    data_sets: Disk
    images: Disk
    results: Disk
    temporary: Disk

    @property
    def together(self) -> Disk:
        """The disk of models and images, or both where they are two: what is free on each, added up."""
        if self.models.device == self.images.device:
            return min(self.models, self.images, key=lambda disk: disk.free_gib)
        paths = f"{self.models.path} and {self.images.path}"
        return Disk(paths, self.models.free_gib + self.images.free_gib)

    @property
    def fewest_inodes(self) -> Disk:
        """The disk of models, data sets or images that has the fewest inodes left."""
        return min((self.models, self.data_sets, self.images), key=lambda disk: disk.free_inodes)


def read(results: Path) -> Disks:
    """Measure each disk; `results` is where this run keeps its own files.

    Raises Inconclusive where a folder cannot be checked.
    """
    engine = engine_answer.ask()
    images = _of_images(engine) if isinstance(engine, Engine) else []
    own = _own_models()
    models = own if not images or is_used(own) else images[:1]
    data_sets = [places.data_sets()] if not images or is_used([places.data_sets()]) else models
    return Disks(
        models=fullest(models),
        data_sets=fullest(data_sets),
        images=fullest(images or models),
        results=measure(results),
        temporary=measure(Path(os.environ.get("TMPDIR") or tempfile.gettempdir())),
    )


def _of_images(engine: Engine) -> list[Path]:
    """The engine's volumes, which hold the container's models, and its images."""
    return [Path(engine.root), *([Path(engine.image_store)] if engine.image_store else [])]


def _own_models() -> list[Path]:
    """Where this user's own clients keep models."""
    return list(dict.fromkeys((hub_home.cache(), places.models_cache())))


def is_used(folders: Iterable[Path]) -> bool:
    """Whether a user works outside the container too: a variable moves the models, or there are some."""
    return any(os.environ.get(name) for name in MOVED_BY) or any(folder.is_dir() for folder in folders)


def fullest(folders: Iterable[Path]) -> Disk:
    """The disk with the least free space."""
    return min((measure(folder) for folder in folders), key=lambda disk: disk.free_gib)


def _device(folder: Path) -> int:
    return folder.stat().st_dev


def measure(path: Path) -> Disk:
    """Free space at a folder, measured at the nearest ancestor that can be read: it is on the same disk.

    >>> measure(Path("/tmp/not/yet/created")).path
    '/tmp/not/yet/created'
    """
    for folder in (path, *path.parents):
        try:
            status = os.statvfs(folder)
            device = _device(folder)
        except (FileNotFoundError, PermissionError):  # not created yet, or root's, as /var/lib/docker is
            continue
        except OSError as error:
            raise Inconclusive(f"{folder} cannot be checked: {error.strerror}", f"Try: df -h {folder}") from error
        # f_bavail and not f_bfree: ext4 reserves 5 % for root.
        inodes = status.f_favail if status.f_files else UNCOUNTED_INODES
        return Disk(str(path), status.f_bavail * status.f_frsize / BYTES_PER_GIB, inodes, device)
    raise Inconclusive(f"no folder above {path} can be checked", f"Try: df -h {path}")
