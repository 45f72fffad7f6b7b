"""The cache of the Hub's client: which pinned checkpoints it holds, whole and as they were."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dgxcert.container import hub_home
from dgxcert.profiles.checkpoints import Checkpoint, Pinned

SHA256 = 64


@dataclass(frozen=True)
class File:
    """One file of a checkpoint: `verified`, `missing`, `wrong` or `unreadable`, and what was found."""

    name: str
    state: str
    found: str


@dataclass(frozen=True)
class Kept:
    """What the cache holds of a checkpoint."""

    checkpoint: Checkpoint
    files: tuple[File, ...]
    main: str = ""
    """Why the bare name does not lead to this revision without the Hub; empty where it does."""

    @property
    def usable(self) -> bool:
        """Whether a notebook that names no revision finds it here, whole, without the Hub."""
        return self.whole and not self.main

    @property
    def whole(self) -> bool:
        """Whether every file is there and verified."""
        return all(file.state == "verified" for file in self.files)

    @property
    def words(self) -> str:
        """One line for a record."""
        at = f"{self.checkpoint.repo} at {self.checkpoint.revision[:12]}"
        if self.whole:
            return f"{at}: {len(self.files)} files verified{', ' if self.main else ''}{self.main}"
        return f"{at}: " + ", ".join(f"{file.name} {file.found}" for file in self.files if file.state != "verified")


def snapshot(checkpoint: Checkpoint) -> Path:
    """Where the client keeps the files of this revision."""
    return hub_home.cache() / f"models--{checkpoint.repo.replace('/', '--')}" / "snapshots" / checkpoint.revision


def look(checkpoint: Checkpoint) -> Kept:
    """Verify every file of a checkpoint in the cache."""
    at = snapshot(checkpoint)
    files = tuple(_verified(at / name, name, pin) for name, pin in checkpoint.files.items())
    return Kept(checkpoint, files, _main(checkpoint))


def _main(checkpoint: Checkpoint) -> str:
    """A notebook that names no revision means `main`; where the cache keeps none, it asks the Hub."""
    ref = snapshot(checkpoint).parents[1] / "refs" / "main"
    try:
        found = ref.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return "main is not in the cache"
    return "" if found == checkpoint.revision else f"main is {found[:12]} in the cache"


def _verified(path: Path, name: str, pin: Pinned) -> File:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return File(name, "missing", "is not there")
    except OSError as error:
        return File(name, "unreadable", f"cannot be read: {error.strerror}")
    if pin.size not in (None, size):
        return File(name, "wrong", f"has {size} bytes, wanted {pin.size}")
    blob = path.resolve().name  # the client names what it keeps by the Hub's hash
    wanted = pin.sha256 or (blob if len(blob) == SHA256 else None)
    if wanted is None:
        return File(name, "unreadable", "has no hash to be held against")
    if found != wanted:
        return File(name, "wrong", f"has SHA-256 {found[:12]}, wanted {wanted[:12]}")
    return File(name, "verified", f"{size} bytes, SHA-256 {found[:12]}")


def others(known: dict[str, Checkpoint]) -> list[str]:
    """The models in the cache that no list pins."""
    names = (
        path.name.removeprefix("models--").replace("--", "/", 1) for path in sorted(hub_home.cache().glob("models--*"))
    )
    return [name for name in names if name not in known]
