"""A folder is tried as a client uses it: a folder and a file in it, a lock, a rename and a link; then all is removed.

What is tried lies in one folder of an unmistakable name, which no client reads. Nothing that is there already is
opened, changed or removed, and no folder of the client is made.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dgxcert.probes.hub.cache import trouble

NAME = ".dgxcert-trial-"
"""How the name of the folder begins that is made, and removed, in each folder that is tried."""
WRITTEN_BYTES = 512 * 1024
"""More than the file that the diagnosis downloads."""
LONGEST_BELOW = 64 + 32 + 255
"""Of the names that clients make below a place: `models--ORG--NAME` (96 + 9), `snapshots`, a revision (40), a file."""
PATH_MAX = 4096
NO_FLOCK = (errno.ENOSYS,)
"""With this answer filelock locks by the existence of a file instead (filelock, UnixFileLock)."""


class Failed(Exception):  # noqa: N818 (read as `raise Failed`)
    """What failed in a folder, as kind, path and detail of a trouble."""

    def __init__(self, kind: str, path: Path, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.path, self.detail = kind, path, detail


def standing(path: Path) -> Path:
    """The folder itself, or the nearest one above in which a client would make it. Raises Failed where it could not.

    >>> standing(Path("/tmp/not/yet/created"))
    PosixPath('/tmp')
    """
    if len(os.fsencode(path)) + LONGEST_BELOW > PATH_MAX:
        raise Failed("too-long", path, f"{str(path)[:60]}… is {len(os.fsencode(path))} bytes long")
    for folder in (path, *path.parents):
        try:
            is_link = stat.S_ISLNK(folder.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _failed(_unsearchable(folder.parent), error) from error
        try:
            mode = folder.stat().st_mode
        except FileNotFoundError as error:
            detail = f"{folder} is a link to {os.readlink(folder)}, which does not exist"
            raise Failed("dangling", folder, detail) from error
        except OSError as error:
            raise _failed(folder, error) from error
        if not stat.S_ISDIR(mode):
            where = f"{folder} is a link to a file" if is_link else f"{folder} is a file"
            raise Failed("not-a-folder", folder, f"{where}, where a folder should be")
        return folder
    raise Failed("lost", path, f"no folder above {path} exists")


def _unsearchable(path: Path) -> Path:
    """The folder that this user may not enter, of a path and all above it."""
    return next((folder for folder in (*reversed(path.parents), path) if not os.access(folder, os.X_OK)), path)


def _failed(path: Path, error: OSError) -> Failed:
    return Failed(trouble.kind_of(error, path), path, trouble.described(path, error))


def attempt(path: Path, mark: str, *, written: int = WRITTEN_BYTES) -> list[str]:
    """Try a folder; what is noteworthy about it. Raises Failed for what would end a client's work."""
    folder = standing(path)
    with _kept_times(folder), _entered(folder, mark) as inside:
        try:
            return _worked(inside, written)
        except OSError as error:
            raise _failed(folder, error) from error


def admits(path: Path, mark: str) -> None:
    """Try only whether entries can be made and removed in an existing folder. Raises Failed where they cannot."""
    with _kept_times(path), _entered(path, mark):
        pass


@contextlib.contextmanager
def _kept_times(folder: Path) -> Iterator[None]:
    """Leave the folder's times as they were, which only its owner can."""
    before = folder.stat()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextlib.contextmanager
def _entered(folder: Path, mark: str) -> Iterator[Path]:
    """The trial's own folder in a folder, and what is left of it removed at the end."""
    # Nothing could be removed again from a folder that `chattr +a` lets only grow.
    if trouble.flags_of(folder) & trouble.APPEND_ONLY:
        raise _failed(folder, PermissionError(errno.EPERM, os.strerror(errno.EPERM)))
    inside = folder / f"{NAME}{mark}"
    try:
        inside.mkdir(mode=0o700)
    except OSError as error:
        raise _failed(folder, error) from error
    try:
        yield inside
    finally:
        try:
            for entry in list(inside.iterdir()):
                entry.unlink()
            inside.rmdir()
        except OSError as error:
            raise _failed(folder, error) from error


def _worked(inside: Path, written: int) -> list[str]:
    """What a download does: a lock, the file under another name, synced, renamed, and a link to it."""
    notes = _locked(inside)
    partial, blob = inside / "blob.incomplete", inside / "blob"
    with partial.open("wb") as file:
        file.write(bytes(written))
        file.flush()
        os.fsync(file.fileno())  # a quota, and a full disk on NFS, are reported no earlier
    partial.replace(blob)
    try:
        (inside / "link").symlink_to("blob")
    except OSError as error:
        notes.append(f"no symbolic links ({error.strerror}): each revision of a model is a copy")
    if (inside / "BLOB").exists():
        notes.append("upper and lower case are one name: files whose names differ in case replace each other")
    return notes


def _locked(inside: Path) -> list[str]:
    """Lock a file as filelock does, and whether that keeps a second one out."""
    lock = inside / "blob.lock"
    first = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o664)
    second = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return [] if _keeps_out(second) else ["flock keeps nobody out: two programs can download one file at once"]
    except OSError as error:
        if error.errno in NO_FLOCK:
            return ["no flock: clients lock by files instead, which stay behind when a program is killed"]
        # Also where the kernel says that somebody else holds it: nobody else can, so that a client would wait forever.
        raise Failed("no-locks", inside.parent, f"{inside.parent}: flock fails: {error.strerror}") from error
    finally:
        os.close(second)
        os.close(first)


def _keeps_out(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
