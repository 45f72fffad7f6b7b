"""The folder of the site page: written file by file in one step each, and never over what somebody else made.

A hidden list in the folder has the SHA-256 of every file that was written. A file of ours is one whose content is in
that list; everything else in the folder is foreign: it is neither replaced nor removed. The list is written before the
files that it names, so that a command that was killed leaves nothing that the next one would take for foreign.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from dgxcert.files import untrusted
from dgxcert.files.atomic import SHARED, write_text
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.record import journal
from dgxcert.record import run as runs

LIST = ".dgxcert-site.json"
INDEX = "index.html"
OURS = re.compile(r"index\.html|machine-[a-z0-9.-]{1,80}\.html")
"""Names of pages: no list, whoever wrote it, makes us touch another file."""
LIST_BYTES, PAGE_BYTES = 16 * untrusted.MIB, 64 * untrusted.MIB
NAMED = 3
"""Foreign files that a refusal names."""

Hashes = dict[str, frozenset[str]]
"""The SHA-256 of what was written, by name: of the present content, and of one that was to replace it."""


def write(out: Path, pages: Mapping[str, str]) -> Path:
    """Write the pages by their names, remove those of ours that are no longer among them, and return the index.

    Raises CannotStart where the folder is or lies in a run folder, cannot be made, is being written by another process,
    or holds a foreign file with the name of a page; then no page was written.
    """
    require_place(out)
    _make(out)
    with _alone(out):
        known = _read_list(out)
        _require_ours(out, pages, known)
        new = {name: frozenset({_sha256(text.encode())}) for name, text in pages.items()}
        _write_list(out, {name: known.get(name, frozenset()) | new.get(name, frozenset()) for name in {*known, *new}})
        for name in sorted(pages, key=lambda name: name == INDEX):  # the index last: it leads to pages that are there
            if _hash_of(out / name) not in new[name]:
                write_text(out / name, pages[name], mode=SHARED)
        for name in known.keys() - pages.keys():
            _remove(out / name, known[name])
        _write_list(out, new)
    return out / INDEX


def require_place(out: Path) -> None:
    """Raise CannotStart for a run folder and a folder in one: no other files belong to what a run measured."""
    place = Path(os.path.realpath(out))
    for folder in (place, *place.parents):
        if any(os.path.lexists(folder / name) for name in (runs.NAME, journal.NAME, *runs.SIGNED)):
            where = "is a run folder" if folder == place else f"lies in the run folder {folder}"
            raise CannotStart(f"{out} {where}.", "Name a folder of its own: --out pages")


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise CannotStart(f"--out {out} is not a folder.", "Name another: --out pages") from error
    except OSError as error:
        raise CannotWrite(out, error) from error


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold a lock on the folder itself; a file system without locks is no obstacle."""
    folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CannotStart(f"{out} is being written by another dgxcert.", "Wait for it to end.") from None
        yield
    finally:
        os.close(folder)


def _read_list(out: Path) -> Hashes:
    """What was written before. Raises CannotStart where the list is there and is none of ours."""
    try:
        content = untrusted.read_json(out / LIST, LIST_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _no_list(out, error.strerror or str(error)) from error
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not all(_is_entry(name, hashes) for name, hashes in files.items()):
        raise _no_list(out, "it is no list of pages")
    return {name: frozenset(hashes) for name, hashes in files.items()}


def _is_entry(name: str, hashes: object) -> bool:
    known = isinstance(hashes, list) and all(isinstance(each, str) for each in hashes)
    return known and OURS.fullmatch(name) is not None


def _no_list(out: Path, reason: str) -> CannotStart:
    return CannotStart(f"{out / LIST} is not as it was written: {reason}.", "Name a new folder: --out pages")


def _write_list(out: Path, files: Hashes) -> None:
    content = {"format": 1, "files": {name: sorted(files[name]) for name in sorted(files)}}
    write_text(out / LIST, json.dumps(content, indent=1) + "\n", mode=SHARED)


def _require_ours(out: Path, pages: Mapping[str, str], known: Hashes) -> None:
    foreign = [name for name in sorted(pages) if os.path.lexists(out / name) and not _is_ours(out / name, known)]
    if foreign:
        more = f" and {len(foreign) - NAMED} more" if len(foreign) > NAMED else ""
        raise CannotStart(
            f"{out} has files that `dgxcert site` did not write, or that were changed since: "
            f"{', '.join(foreign[:NAMED])}{more}.",
            "Move them away, or name another folder with --out.",
        )


def _is_ours(path: Path, known: Hashes) -> bool:
    return _hash_of(path) in known.get(path.name, frozenset())


def _remove(path: Path, hashes: frozenset[str]) -> None:
    """Remove a page of ours; one that was changed since is somebody's, and stays."""
    if _hash_of(path) in hashes:
        try:
            path.unlink()
        except OSError as error:
            raise CannotWrite(path, error) from error


def _hash_of(path: Path) -> str:
    """The SHA-256 of a regular file with one name; "" for anything else."""
    try:
        status = path.lstat()
        return untrusted.sha256(path, PAGE_BYTES) if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 else ""
    except OSError:
        return ""


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
