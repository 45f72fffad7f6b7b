"""Repositories in the Hub cache: their folders and locks, tried as a download into them would use them."""

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from dgxcert.probes.hub.cache import folder, locks, trouble
from dgxcert.probes.hub.cache.folder import Failed

KINDS = ("models--", "datasets--", "spaces--")
MOST = 40
"""Repositories that are tried, the newest first, so that a large cache on NFS takes no longer than a second."""
MOST_FILES = 60
MOST_LOCKS = 60
MOST_REVISIONS = 3


def newest(cache: Path, first: tuple[str, ...] = ()) -> list[Path]:
    """The repositories of a cache, by their folders and by those of their locks: those named first, then the newest.

    Links that lead to a folder are not followed; one that leads nowhere, and a file, are in a repository's way.
    """
    found: dict[str, float] = {}
    for place in (cache / ".locks", cache):
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            found |= {
                entry.name: entry.stat(follow_symlinks=False).st_mtime
                for entry in entries
                if entry.name.startswith(KINDS) and not (entry.is_symlink() and entry.is_dir())
            }
    linked = {name for name in found if (cache / name).is_symlink() and (cache / name).is_dir()}
    ordered = sorted(found.keys() - linked, key=lambda name: (name not in first, -found[name], name))
    return [cache / name for name in ordered[:MOST]]


def attempt(repository: Path, mark: str) -> Iterator[Failed]:
    """What would end a download of a repository that is not complete.

    A complete one is read alone: a cache that an administrator has filled for everybody is none of their fault.
    """
    if not is_complete(repository):
        for each in _folders(repository):
            try:
                if folder.standing(each) == each and not each.is_symlink():
                    folder.admits(each, mark)
            except Failed as failed:
                yield failed
                if each == repository:
                    break
    yield from _of_locks(repository)


def _folders(repository: Path) -> list[Path]:
    """The folders that a download writes to, as far as they exist, and what is in the place of one."""
    snapshots = repository / "snapshots"
    locked = repository.parent / ".locks" / repository.name
    named = [repository, repository / "blobs", repository / "refs", snapshots, locked]
    revisions: list[Path] = []
    with contextlib.suppress(OSError):
        revisions = list(islice(snapshots.iterdir(), MOST_REVISIONS))
    return [each for each in (*named, *revisions) if os.path.lexists(each)]


def is_complete(repository: Path) -> bool:
    """Whether this user can read what the cache has of it: each file of each revision, and none is half there."""
    try:
        files = [path for path in islice((repository / "snapshots").rglob("*"), MOST_FILES) if not path.is_dir()]
        if any(path.name.endswith(".incomplete") for path in (repository / "blobs").iterdir()):
            return False
    except FileNotFoundError:  # no blobs: a copy without links
        pass
    except OSError:
        return False
    return bool(files) and all(os.access(path, os.R_OK) for path in files)


def _of_locks(repository: Path) -> Iterator[Failed]:
    """Locks of files that are not there yet: one of another user, or one that is held by a process that hangs."""
    with contextlib.suppress(OSError):
        for lock in islice((repository.parent / ".locks" / repository.name).glob("*.lock"), MOST_LOCKS):
            blob = repository / "blobs" / lock.stem
            if not blob.exists() and (failed := _of_lock(lock, blob)):
                yield failed


def _of_lock(lock: Path, blob: Path) -> Failed | None:
    try:
        locks.take(lock)
    except locks.Held:
        pid = locks.holder(lock)
        if locks.is_at_work(pid, list(blob.parent.glob(f"{blob.name}*.incomplete"))):
            return None
        return Failed("lock-held", lock, f"{lock} is held by {locks.name_of(pid)}, which downloads nothing")
    except FileNotFoundError:
        return None
    except OSError as error:
        return Failed(trouble.kind_of(error, lock.parent), lock, trouble.described(lock, error))
    return None


def of_data_sets(cache: Path) -> Iterator[Failed]:
    """Locks of data sets that this user may not take: `load_dataset` takes one even where the data set is there."""
    with contextlib.suppress(OSError):
        for lock in islice(cache.glob("*.lock"), MOST_LOCKS):
            try:
                locks.take(lock)
            except (locks.Held, FileNotFoundError):
                continue
            except OSError as error:
                yield Failed(trouble.kind_of(error, cache), lock, trouble.described(lock, error))


def of_xet(cache: Path, mark: str) -> Iterator[Failed]:
    """Folders that hf_xet has made for each store; its logs, without which it works, are left out."""
    with contextlib.suppress(OSError):
        for store in islice((each for each in cache.iterdir() if each.name != "logs"), MOST_REVISIONS * 4):
            for each in (store, *(islice(store.iterdir(), MOST_REVISIONS * 4) if store.is_dir() else ())):
                if each.is_dir() and not each.is_symlink():
                    try:
                        folder.admits(each, mark)
                    except Failed as failed:
                        yield failed
