"""The files of a run folder as a signature covers them: regular files of the folder itself, each by its SHA-256.

The folder may come from anybody. It is walked by handles, so that no part of a path is a link; what is hashed and what
is used afterwards are the same bytes.
"""

import contextlib
import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dgxcert.certificate import bounds
from dgxcert.certificate.ssh.signature import SUFFIX
from dgxcert.certificate.statement_text import misleading_character
from dgxcert.console import on_one_line
from dgxcert.files import untrusted
from dgxcert.files.folder import Folder
from dgxcert.files.untrusted import UnfitError
from dgxcert.record import run as runs

CHUNK_BYTES = 2**20
OURS = frozenset(name + suffix for name in runs.SIGNED for suffix in ("", SUFFIX))
"""What a signature does not cover, since it is the signature."""


@dataclass(frozen=True)
class Contents:
    """What is in a run folder: its regular files, and what is none, each by its name below the folder."""

    files: tuple[str, ...] = ()
    unfit: dict[str, str] = field(default_factory=dict)
    """Why something is not a file that a signature can cover: `{"logs/x": "it is a link"}`."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted({*self.files, *self.unfit}))


def contents(folder: Path) -> Contents:
    """What is in a run folder and in the folders below it.

    Raises UnfitError where the folder holds more files or nests deeper than is read; OSError where it cannot be read.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "run.json").write_text("{}")
    >>> (folder / "logs").symlink_to("/var/log")
    >>> contents(folder)
    Contents(files=('run.json',), unfit={'logs': 'it is a link'})
    """
    files: list[str] = []
    unfit: dict[str, str] = {}
    linked: dict[tuple[int, int], list[str]] = {}
    names_of: dict[tuple[int, int], int] = {}
    with Folder.opened(folder) as opened:
        for name, status in _walk(opened, "", 0, iter(range(bounds.FILES))):
            if not stat.S_ISREG(status.st_mode):
                unfit[name] = f"it is {untrusted.kind(status.st_mode)}"
            elif problem := name_problem(name):
                unfit[name] = problem
            else:
                files.append(name)
                linked.setdefault((status.st_dev, status.st_ino), []).append(name)
                names_of[status.st_dev, status.st_ino] = status.st_nlink
    for inode, names in linked.items():
        if names_of[inode] > len(names):  # whoever has the other name can change the file without the folder
            unfit |= dict.fromkeys(names, "it is a hard link, and has another name outside the folder")
    unfit |= _colliding(files)
    return Contents(tuple(sorted(name for name in files if name not in unfit)), unfit)


def name_problem(name: str) -> str:
    r"""Why a file of this name, relative to its folder, cannot be covered; "" where it can.

    >>> name_problem("logs/container-1.log"), name_problem("../run.json")
    ('', 'its name leaves the folder')
    >>> name_problem("report\x1b.html")
    'its name has a control character (U+001B)'
    """
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        return "its name leaves the folder"
    if "" in parts or "." in parts or "\\" in name:
        return "its name is not written plainly"
    if len(name) > bounds.NAME_CHARS:
        return f"its name has {len(name)} characters, and at most {bounds.NAME_CHARS} are read"
    if len(parts) > bounds.DEPTH:
        return f"it lies more than {bounds.DEPTH} folders deep"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if misleading := misleading_character(name):
        return f"its name has {misleading}"
    return "" if unicodedata.is_normalized("NFC", name) else "its name is not in Unicode's normal form C"


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it lies in, is hidden: desktops make such files, and signing skips them.

    >>> is_hidden(".DS_Store"), is_hidden("logs/container-1.log")
    (True, False)
    """
    return any(part.startswith(".") for part in name.split("/"))


def folded(name: str) -> str:
    """A name as a file system that ignores case and normal forms sees it.

    >>> folded("Report.HTML") == folded("report.html")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def shown(names: Iterable[str]) -> str:
    r"""Names on one line, with what does not print escaped.

    >>> shown(["notes.txt", "a\x1b[2J"])
    'notes.txt, a\\x1b[2J'
    """
    return ", ".join(on_one_line(name) for name in names)


def read(folder: Path, name: str, at_most: int) -> bytes:
    """The content of a file below a folder, through no link. Raises UnfitError, OSError as `Folder.read_bytes`."""
    with _holder(folder, name) as holder:
        return holder.read_bytes(Path(name).name, at_most)


def sha256(folder: Path, name: str) -> str:
    """The SHA-256 of a file below a folder, through no link, without holding it in memory. Raises as `read` does."""
    digest, size = hashlib.sha256(), 0
    with _holder(folder, name) as holder, holder.open(Path(name).name) as file:
        if (whole := os.fstat(file.fileno()).st_size) > bounds.EVIDENCE_BYTES:
            raise UnfitError(folder / name, f"it has {whole} bytes, and at most {bounds.EVIDENCE_BYTES} are read")
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            if size > bounds.EVIDENCE_BYTES:
                raise UnfitError(folder / name, f"it has more than the {bounds.EVIDENCE_BYTES} bytes that are read")
    return digest.hexdigest()


@contextlib.contextmanager
def _holder(folder: Path, name: str) -> Iterator[Folder]:
    """The folder that a file below `folder` lies in, reached through no link."""
    with contextlib.ExitStack() as stack:
        holder = stack.enter_context(Folder.opened(folder))
        for part in name.split("/")[:-1]:
            try:
                holder = stack.enter_context(holder.folder(part))
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                raise UnfitError(folder / name, f"{part} is a link or a file, not a folder") from None
        yield holder


def _walk(opened: Folder, prefix: str, depth: int, budget: Iterator[int]) -> Iterator[tuple[str, os.stat_result]]:
    """Everything in a folder that is not a folder, and each folder that is not looked into, with its name."""
    for single, status in opened.entries():
        name = f"{prefix}{single}"
        if next(budget, None) is None:
            raise UnfitError(opened.path, f"there are more than {bounds.FILES} files in the run folder")
        if stat.S_ISDIR(status.st_mode) and depth < bounds.DEPTH:
            with opened.folder(single) as below:
                yield from _walk(below, f"{name}/", depth + 1, budget)
        else:
            yield name, status


def _colliding(files: Iterable[str]) -> dict[str, str]:
    """The names that another file system would take for one."""
    same: dict[str, list[str]] = {}
    for name in files:
        same.setdefault(folded(name), []).append(name)
    return {
        name: f"its name differs only in case from {shown(other for other in names if other != name)}"
        for names in same.values()
        if len(names) > 1
        for name in names
    }
