"""The hash that the Hub has given for a file in a cache, wherever the client keeps it.

Read in huggingface_hub 0.36.2 and 2.4.0 (file_download.py, _local_folder.py, _tree_cache.py, utils/_shared_blobs.py):

- `snapshots/REVISION/NAME` links to the repository's `blobs/ETAG`; the etag is the SHA-256 of a large file and git's
  SHA-1 of a small one. From 2.x on that blob can itself be a link to `blobs/AB/XET-HASH` of the whole cache: the name
  at the end of all links is then the hash of Xet, which is no SHA-256.
- Without links (HF_HUB_DISABLE_SYMLINKS, a copy by `rsync -L`) a snapshot holds the file itself. Its etag is still in
  the listing `trees/REVISION.json`, which 2.x keeps, and names the lock `.locks/REPOSITORY/ETAG.lock`.
- `hf download --local-dir` writes it to `.cache/huggingface/download/NAME.metadata`.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

ETAG = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHA256_DIGITS = 64
CHUNK_BYTES = 1 << 20
MOST_LINKS = 8


@dataclass(frozen=True)
class Hashes:
    """Size in bytes and the two hashes by which the Hub names a file."""

    size: int
    sha256: str
    git_sha1: str

    def like(self, etag: str) -> str:
        """The hash of an etag's kind, by its length."""
        return self.sha256 if len(etag) == SHA256_DIGITS else self.git_sha1


@dataclass(frozen=True)
class Etag:
    """A hash by the Hub, and where the client has kept it; both empty where it kept none."""

    value: str = ""
    source: str = ""


def of_file(path: Path) -> Hashes:
    """Both hashes of a file, read once. Raises OSError where it cannot be read.

    >>> of_file(Path("/dev/null")).git_sha1
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while chunk := file.read(CHUNK_BYTES):
            sha256.update(chunk)
            sha1.update(chunk)
    return Hashes(size, sha256.hexdigest(), sha1.hexdigest())


def etag(root: Path, name: str) -> Etag:
    """The etag of a file below a snapshot, or below a folder that `hf download --local-dir` has filled."""
    return _of_blob(root / name) or _of_tree(root, name) or _of_metadata(root, name) or Etag()


def etag_by_lock(root: Path, hashes: Hashes) -> Etag:
    """The etag of a file whose content has the hash that one of the repository's locks is named by."""
    repository = root.parent.parent
    for value in (hashes.sha256, hashes.git_sha1):
        if (repository.parent / ".locks" / repository.name / f"{value}.lock").exists():
            return Etag(value, "the name of its lock")
    return Etag()


def _of_blob(path: Path) -> Etag | None:
    """By the name of the blob in the repository's own folder, to which one of the links leads."""
    for _ in range(MOST_LINKS):
        if not path.is_symlink():
            break
        target = Path(os.path.normpath(path.parent / path.readlink()))
        # `blobs/AB/XET-HASH` of the whole cache is never named by an etag: there, `blobs` is one level further up.
        if target.parent.name == "blobs" and ETAG.fullmatch(target.name):
            return Etag(target.name, "the name of its blob")
        path = target
    return None


def _of_tree(root: Path, name: str) -> Etag | None:
    """By the listing of a revision, in the repository's folder or in that of a local download."""
    for listing in (
        root.parent.parent / "trees" / f"{root.name}.json",
        *(root / ".cache" / "huggingface" / "trees").glob("*.json"),
    ):
        try:
            entry = json.loads(listing.read_text(encoding="utf-8"))["files"][name]
            value = entry.get("lfs_sha256") or entry["blob_id"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if isinstance(value, str) and ETAG.fullmatch(value):
            return Etag(value, "the listing of its revision")
    return None


def _of_metadata(root: Path, name: str) -> Etag | None:
    """By the second line of the file that a download into a local folder has left: revision, etag, time."""
    try:
        metadata = (root / ".cache" / "huggingface" / "download" / f"{name}.metadata").read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return None
    value = [*metadata.splitlines(), "", ""][1].strip()
    return Etag(value, "the metadata of its download") if ETAG.fullmatch(value) else None
