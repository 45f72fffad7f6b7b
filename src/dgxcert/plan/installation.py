"""An installed wheel, compared with its own list of files: unmodified only where each file is what RECORD says.

RECORD is written by whoever installs, and can be rewritten by whoever edits: what it proves is that nothing was changed
by accident or behind its back. Which suite it is, its hash says, in the record and in every signed statement.
"""

import base64
import csv
import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB, UnfitError
from dgxcert.plan import source
from dgxcert.plan.source import Compared, Unknown

LIST_BYTES, FILE_BYTES = 4 * MIB, 64 * MIB
NAME = "dgxcert"
AGAIN = "install its wheel again"


def compare(package: Path) -> Compared:
    """Compare the files of an installed package with the RECORD of its distribution; there is no commit to name."""
    try:
        info = _metadata_folder(package)
        _require_wheel(info)
        listed = _listed(info / "RECORD")
        found = {path.relative_to(package.parent).as_posix() for path in source.files(package)}
        differing = _differences(package.parent, listed, found)
    except Unknown as unknown:
        return Compared(None, None, str(unknown))
    except OSError as error:
        return Compared(None, None, f"{error.filename} cannot be read: {error.strerror}")
    return Compared(None, bool(differing), source.shown(differing))


def lacks(extra: str) -> list[str]:
    """The packages that an extra of dgxcert brings, and this environment has not."""
    return [name for name in names_of(extra, metadata.requires(NAME) or ()) if not _is_there(name)]


def names_of(extra: str, requirements: Iterable[str]) -> list[str]:
    """The names of the packages that an extra brings, from a distribution's `Requires-Dist`.

    >>> names_of("host", ["rich>=14.0", "docker>=7.2; extra == 'host'", 'ruff>=0.14; extra == "dev"'])
    ['docker']
    """
    brought = [each for each in requirements if re.search(rf"extra == ['\"]{extra}['\"]", each)]
    return [re.split(r"[^A-Za-z0-9._-]", each, maxsplit=1)[0] for each in brought]


def _is_there(name: str) -> bool:
    return any(metadata.distributions(name=name))


def _metadata_folder(package: Path) -> Path:
    folders = sorted(package.parent.glob(f"{NAME}-*.dist-info"))
    if len(folders) != 1:
        raise Unknown(f"wanted one {NAME}-*.dist-info beside {package}, found {len(folders)}: {AGAIN}")
    return folders[0]


def _require_wheel(info: Path) -> None:
    """Raise Unknown for what was installed from a folder or a repository (PEP 610): nobody has released that."""
    path = info / "direct_url.json"
    if not path.is_file():
        return
    origin = untrusted.read_json(path, MIB)
    if not isinstance(origin, dict) or "archive_info" not in origin:
        raise Unknown(f"it was installed from a folder or a repository, not from a wheel: {AGAIN}")


def _listed(path: Path) -> dict[str, str]:
    """The hash of each file that RECORD lists, by its path beside the package; "" where it lists none."""
    rows = [row for row in csv.reader(untrusted.read_text(path, LIST_BYTES).splitlines()) if row]
    listed = {row[0]: row[1] if len(row) == 3 else "malformed" for row in rows}
    if len(listed) != len(rows):
        raise Unknown(f"RECORD lists a file twice: {AGAIN}")
    return listed


def _differences(site: Path, listed: dict[str, str], found: set[str]) -> list[str]:
    """What is changed, missing or added, one sentence each, in the order of the paths."""
    sentences = [f"{name} is not in RECORD" for name in found - listed.keys() if not _is_compiled(name)]
    for name, wanted in listed.items():
        if (not wanted and _needs_no_hash(name)) or _is_compiled(name):
            continue
        if not wanted:
            sentences.append(f"{name} has no hash in RECORD")
        elif (is_ := _hash(site / name)) != wanted:
            sentences.append(f"{name} is missing" if is_ == "missing" else f"{name} was changed")
    unchecked = (name for name in found if _is_compiled(name))  # `source.files` names only those
    return sorted([*sentences, *(f"{name} is loaded without a look at its source" for name in unchecked)])


def _is_compiled(name: str) -> bool:
    """Whether it is a module that Python or pip compiled: it is loaded only where it fits its source."""
    return re.fullmatch(r".*/__pycache__/[^/]+\.pyc", name) is not None


def _needs_no_hash(name: str) -> bool:
    return re.fullmatch(rf"{NAME}-[^/]+\.dist-info/RECORD", name) is not None


def _hash(path: Path) -> str:
    """A file's hash as RECORD writes it (PEP 376); `missing`, or what it is in place of a regular file."""
    try:
        digest = bytes.fromhex(untrusted.sha256(path, FILE_BYTES))
    except UnfitError as error:
        return str(error)
    except FileNotFoundError:
        return "missing"
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
