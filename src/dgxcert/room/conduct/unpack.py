"""What a host packed, unpacked on the controller: its run folders and the log of its validation, and nothing else.

The archive is what a machine under test says: it is unpacked within limits, without links, and only below its folder.
"""

import contextlib
import os
import shutil
import stat
import tarfile
import zlib
from pathlib import Path
from typing import Any

from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import DgxcertError
from dgxcert.record import journal
from dgxcert.record import run as runs

LOG = "log.txt"
LARGEST = 4 * 1024**3
MOST_FILES = 100_000
MODE_FILE, MODE_FOLDER = 0o640, 0o750
FILTER: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python's own rules for archives of strangers, from 3.11.4 on: Debian 12 has 3.11.2. Ours are beside them."""


class BadArchive(DgxcertError):  # noqa: N818 (named as what it is)
    """What a host packed is no archive of a run."""


def unpack(archive: Path, into: Path) -> str:
    """Put the run folders and the log of a host into its folder, in place of what was there; returns the newest run.

    "" where the archive holds no run. Raises BadArchive; and CannotWrite, after which what was there is unchanged.
    """
    new = into / ".unpacked"
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(MODE_FOLDER, parents=True)
        _extract(archive, new)
        return _take_over(new, into)
    except OSError as error:
        raise CannotWrite(into, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _extract(archive: Path, into: Path) -> None:
    """Extract regular files and folders alone."""
    size = files = 0
    try:
        with tarfile.open(archive, "r:*") as packed:
            for member in packed:
                size, files = size + member.size, files + 1
                if size > LARGEST or files > MOST_FILES:
                    raise BadArchive(f"it holds more than {LARGEST // 1024**3} GiB or {MOST_FILES} files")
                if member.isreg() or member.isdir():
                    _require_inside(member.name)
                    member.mode = MODE_FOLDER if member.isdir() else MODE_FILE
                    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
                    packed.extract(member, into, **FILTER)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BadArchive(f"what it packed cannot be unpacked: {error}") from error


def _require_inside(name: str) -> None:
    """Raise BadArchive for a name that leads out of the folder. No link is extracted that could lead out later."""
    if name.startswith("/") or ".." in name.split("/"):
        raise BadArchive(f"it has a file that leaves its folder: {name[:80]!r}")


def _take_over(new: Path, into: Path) -> str:
    """Move what was found to its place; returns the name of the newest run."""
    names = []
    for folder, _, files in os.walk(new):
        if Path(folder) != new and {runs.NAME, journal.NAME} & set(files):
            names.append(_replace(Path(folder), into))
        elif {"log", LOG} & set(files):
            found = next(name for name in (LOG, "log") if name in files)
            os.replace(Path(folder, found), into / LOG)
    return max(names, default="")


def _replace(folder: Path, into: Path) -> str:
    """Put a run folder in its place; the one that was there goes only once the new one is there."""
    place = into / folder.name
    old = into / f".{folder.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(place).st_mode):
            os.unlink(place)
        else:
            os.rename(place, old)
    os.rename(folder, place)
    shutil.rmtree(old, ignore_errors=True)
    return folder.name
