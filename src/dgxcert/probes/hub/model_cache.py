"""The cache of huggingface_hub: which pinned checkpoints it holds, complete and with the pinned hashes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dgxcert.container import hub_home
from dgxcert.profiles.checkpoints import Checkpoint, Pinned

SHA256_DIGITS = 64


@dataclass(frozen=True)
class CachedFile:
    """One file of a checkpoint; `state` is `verified`, `missing`, `wrong` or `unreadable`."""

    name: str
    state: str
    detail: str


@dataclass(frozen=True)
class CachedCheckpoint:
    """What the cache holds of a checkpoint."""

    checkpoint: Checkpoint
    files: tuple[CachedFile, ...]
    main_problem: str = ""
    """Why the branch main does not lead to this revision without the Hub; empty where it does."""

    @property
    def usable(self) -> bool:
        """Whether a notebook that names no revision loads it, complete, without the Hub."""
        return self.complete and not self.main_problem

    @property
    def complete(self) -> bool:
        """Whether every file is present and verified."""
        return all(file.state == "verified" for file in self.files)

    @property
    def summary(self) -> str:
        """One line for a record."""
        revision = f"{self.checkpoint.repo} at {self.checkpoint.revision[:12]}"
        if self.complete:
            return f"{revision}: {len(self.files)} files verified{', ' if self.main_problem else ''}{self.main_problem}"
        problems = [f"{file.name} {file.detail}" for file in self.files if file.state != "verified"]
        return f"{revision}: {', '.join(problems)}"


def snapshot(checkpoint: Checkpoint) -> Path:
    """The folder in which huggingface_hub keeps the files of this revision."""
    return hub_home.cache() / f"models--{checkpoint.repo.replace('/', '--')}" / "snapshots" / checkpoint.revision


def verify(checkpoint: Checkpoint) -> CachedCheckpoint:
    """Verify every file of a checkpoint in the cache."""
    folder = snapshot(checkpoint)
    files = tuple(_verify_file(folder / name, name, pin) for name, pin in checkpoint.files.items())
    return CachedCheckpoint(checkpoint, files, _main_problem(checkpoint))


def _main_problem(checkpoint: Checkpoint) -> str:
    """A notebook that names no revision loads `main`: where the cache holds no ref of it, the client asks the Hub."""
    ref = snapshot(checkpoint).parents[1] / "refs" / "main"
    try:
        revision = ref.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return "main is not in the cache"
    return "" if revision == checkpoint.revision else f"main is {revision[:12]} in the cache"


def _verify_file(path: Path, name: str, pin: Pinned) -> CachedFile:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return CachedFile(name, "missing", "is missing")
    except OSError as error:
        return CachedFile(name, "unreadable", f"cannot be read: {error.strerror}")
    if pin.size not in (None, size):
        return CachedFile(name, "wrong", f"has {size} bytes, expected {pin.size}")
    blob = path.resolve().name  # a snapshot's files are links to blobs, which the client names by the Hub's hash
    expected = pin.known or ((blob,) if len(blob) == SHA256_DIGITS else ())
    if not expected:
        return CachedFile(name, "unreadable", "has no known hash to compare with")
    if sha256 not in expected:
        return CachedFile(name, "wrong", f"has SHA-256 {sha256[:12]}, expected {expected[0][:12]}")
    return CachedFile(name, "verified", f"{size} bytes, SHA-256 {sha256[:12]}")


def unpinned(known: dict[str, Checkpoint]) -> list[str]:
    """Names of the models in the cache that the list of checkpoints does not pin."""
    folders = sorted(hub_home.cache().glob("models--*"))
    names = (folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders)
    return [name for name in names if name not in known]
