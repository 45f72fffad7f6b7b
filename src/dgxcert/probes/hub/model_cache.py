"""The cache of huggingface_hub: which pinned checkpoints it holds, complete and with the pinned hashes."""

import os
from dataclasses import dataclass
from pathlib import Path

from dgxcert.container import hub_home
from dgxcert.probes.hub.cache import contents, hashes
from dgxcert.profiles.checkpoints import Checkpoint, Pinned


@dataclass(frozen=True)
class CachedFile:
    """One file of a checkpoint; `state` is `verified`, `missing`, `wrong`, `unreadable` or `unverified`."""

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
    def lacks(self) -> bool:
        """Whether something is missing or wrong, rather than only without a hash to compare with."""
        return bool(self.main_problem) or any(file.state not in ("verified", "unverified") for file in self.files)

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


def snapshot(checkpoint: Checkpoint, cache: Path | None = None) -> Path:
    """The folder in which huggingface_hub keeps the files of this revision, in the Hub cache unless one is named."""
    return (
        (cache or hub_home.cache())
        / f"models--{checkpoint.repo.replace('/', '--')}"
        / "snapshots"
        / checkpoint.revision
    )


def verify(checkpoint: Checkpoint, cache: Path | None = None) -> CachedCheckpoint:
    """Verify every file of a checkpoint in a cache."""
    folder = snapshot(checkpoint, cache)
    files = tuple(_verify_file(folder, name, pin) for name, pin in checkpoint.files.items())
    return CachedCheckpoint(checkpoint, files, _main_problem(checkpoint, folder.parents[1]))


def is_there(checkpoint: Checkpoint, cache: Path | None = None) -> bool:
    """Whether this user can read every file of a checkpoint in a cache; none is hashed."""
    folder = snapshot(checkpoint, cache)
    return all(os.access(folder / name, os.R_OK) for name in checkpoint.files)


def _main_problem(checkpoint: Checkpoint, repository: Path) -> str:
    """A notebook that names no revision loads `main`: where the cache holds no ref of it, the client asks the Hub."""
    try:
        revision = (repository / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return "main is not in the cache"
    return "" if revision == checkpoint.revision else f"main is {revision[:12]} in the cache"


def _verify_file(folder: Path, name: str, pin: Pinned) -> CachedFile:
    """One file against its pinned hash; without one, against the hash that the Hub gave for it."""
    if not pin.known:
        content = contents.verify_file(folder, name)
        if content.state != "verified" or pin.size in (None, (folder / name).stat().st_size):
            return CachedFile(name, content.state, content.detail)
    try:
        found = hashes.of_file(folder / name)
    except FileNotFoundError:
        return CachedFile(name, "missing", "is missing")
    except OSError as error:
        return CachedFile(name, "unreadable", f"cannot be read: {error.strerror}")
    if pin.size not in (None, found.size):
        return CachedFile(name, "wrong", f"has {found.size} bytes, expected {pin.size}")
    if found.sha256 not in pin.known:
        return CachedFile(name, "wrong", f"has SHA-256 {found.sha256[:12]}, expected {pin.known[0][:12]}")
    return CachedFile(name, "verified", f"{found.size} bytes, SHA-256 {found.sha256[:12]}")


def unpinned(known: dict[str, Checkpoint], cache: Path | None = None) -> list[str]:
    """Names of the models in a cache that the list of checkpoints does not pin."""
    folders = sorted((cache or hub_home.cache()).glob("models--*"))
    names = (folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders)
    return [name for name in names if name not in known]
