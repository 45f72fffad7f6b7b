"""Contents: each file of a repository in a cache, or of a local download, against the hash that the Hub gave."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dgxcert.probes.hub.cache import hashes

MOST_FILES = 2000
PARTIAL = ".incomplete"


@dataclass(frozen=True)
class Content:
    """A file; `state` is `verified`, `missing`, `wrong`, `unreadable`, `unverified` or `partial`."""

    name: str
    state: str
    detail: str

    @property
    def is_wrong(self) -> bool:
        """Whether the file does not hold what the Hub has."""
        return self.state in ("missing", "wrong", "unreadable")


def roots(place: Path) -> list[Path]:
    """The folders with files below a repository's folder: each of its revisions, or itself after a local download."""
    snapshots = place / "snapshots"
    return sorted(each for each in snapshots.iterdir() if each.is_dir()) if snapshots.is_dir() else [place]


def verify(place: Path) -> list[Content]:
    """Every file of a repository's folder, with what a download has left unfinished."""
    return [*_files(place), *_partial(place)]


def _files(place: Path) -> Iterator[Content]:
    for root in roots(place):
        shown = root.name[:12] + "/" if root != place else ""
        for path in islice(sorted(root.rglob("*")), MOST_FILES):
            name = path.relative_to(root)
            if path.is_dir() or name.parts[0] == ".cache":
                continue
            verified = verify_file(root, str(name))
            yield Content(f"{shown}{name}", verified.state, verified.detail)


def _partial(place: Path) -> Iterator[Content]:
    """Parts of files, of a download that still runs or was killed. `.no_exist` names files that the Hub has not."""
    for folder in (place / "blobs", place / ".cache" / "huggingface" / "download"):
        for path in islice(sorted(folder.rglob(f"*{PARTIAL}")), MOST_FILES):
            yield Content(path.name, "partial", f"{path.stat().st_size} bytes of a download that has not ended")


def verify_file(root: Path, name: str) -> Content:
    """One file below a snapshot or a local download.

    `unverified` means that the client has kept no hash of it, which is not unusual for copies.
    """
    path = root / name
    try:
        found = hashes.of_file(path)
    except FileNotFoundError:
        detail = "its link leads nowhere" if path.is_symlink() else "is missing"
        return Content(name, "missing", detail)
    except OSError as error:
        return Content(name, "unreadable", f"cannot be read: {error.strerror}")
    etag = hashes.etag(root, name)
    if not etag.value:
        etag = hashes.etag_by_lock(root, found)
    if not etag.value:
        return Content(name, "unverified", f"{found.size} bytes, and the cache holds no hash of it")
    kind = "SHA-256" if len(etag.value) == hashes.SHA256_DIGITS else "git's SHA-1"
    actual = found.like(etag.value)
    if actual != etag.value:
        return Content(name, "wrong", f"has {kind} {actual[:12]}, expected {etag.value[:12]} ({etag.source})")
    return Content(name, "verified", f"{found.size} bytes, {kind} {actual[:12]} ({etag.source})")
