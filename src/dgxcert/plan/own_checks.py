"""A lab's own checks: a folder of its own beside the suite, collected like the suite's, told apart in everything.

They can reject a machine or leave it inconclusive, and certify nothing: their ids begin with `OWN-`, their group is
`own`, they run in processes of their own, which can report nothing about the suite's requirements.
"""

import hashlib
import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.judgement.requirement import OWN
from dgxcert.outcome import CannotStart

MOST_FILES, MOST_BYTES = 1000, 64 * MIB
"""Of a folder: it is hashed before each run, and copied for each container."""
SKIPPED = ("__pycache__",)
INSIDE = "checks"
"""Name of the copy for a container, in the folder of its exchange with the host."""
PLACE = re.compile(r"^(\S+\.py):(\d+): ")
SYNTAX = re.compile(r'^E\s+File "([^"]+)", line (\d+)')


class OwnChecks(BaseModel):
    """Which version of a lab's own checks a run has measured with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Of their folder."""
    sha256: str
    """Hash over the names and contents of all its files but hidden ones and caches."""

    @property
    def description(self) -> str:
        """The checks and what they count for, on one line, for every report."""
        version = f"{self.name}, SHA-256 {self.sha256}"
        return (
            f"group {OWN} are the lab's own checks {version}: what fails there rejects, what passes certifies nothing"
        )


def read(folder: Path) -> OwnChecks:
    """The version of a folder of checks. Raises CannotStart for a folder that is missing, too large or holds a link."""
    digest = hashlib.sha256()
    for name, content in _files(folder):
        digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(content).digest())
    return OwnChecks(name=folder.resolve().name or "checks", sha256=digest.hexdigest())


def copy(folder: Path, to: Path, wanted: OwnChecks) -> None:
    """Copy a folder for a container that may not see the original. Raises CannotStart where it is not as `wanted`."""
    for name, content in _files(folder):
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if read(to).sha256 != wanted.sha256:
        raise CannotStart(changed(folder), "Start a new run.")


def difference(folder: str, wanted: OwnChecks | None) -> str:
    """How a folder of checks differs from what a run began with, in one sentence; "" where it does not."""
    if wanted is None:
        return ""
    try:
        found = read(Path(folder))
    except CannotStart as error:
        return error.problem.rstrip(".")
    return changed(Path(folder)) if found.sha256 != wanted.sha256 else ""


def changed(folder: Path) -> str:
    """That a folder is not what a run began with."""
    return f"the own checks in {folder} were changed since the run began"


def place_of(lines: list[str], folder: Path, printed_in: Path) -> str:
    """Where pytest, started in another folder, could not collect a check, and why.

    >>> printed = ["../lab/test_a.py:1: in <module>", "src/b.py:9: in c", "E   ImportError: No module named 'x'"]
    >>> place_of(printed, Path("/home/lab"), Path("/home/dgxcert"))
    "test_a.py:1: ImportError: No module named 'x'"
    >>> printed = ['E     File "/home/lab/test_a.py", line 2', "E       def", "E   SyntaxError: invalid syntax"]
    >>> place_of(printed, Path("/home/lab"), Path("/home/dgxcert"))
    'test_a.py:2: SyntaxError: invalid syntax'
    """
    place = why = ""
    for line in lines:
        if found := PLACE.match(line) or SYNTAX.match(line):
            path = os.path.relpath(os.path.join(printed_in, found[1]), folder)
            if not why and not path.startswith(".."):
                place = f"{path}:{found[2]}"
        elif not why and re.match(r"^E\s+\w+(\.\w+)*(Error|Exception|Warning)\b", line):
            why = line[1:].strip()
        elif not why and line.startswith("ERROR: "):
            why = line.removeprefix("ERROR: ")
    return ": ".join(part for part in (place, why) if part)


def _files(folder: Path) -> list[tuple[str, bytes]]:
    """All files of a folder with their names in it, in order; compiled modules are not used and not read."""
    files: list[tuple[str, bytes]] = []
    size = 0
    try:
        for name in sorted(_names(folder)):
            content = untrusted.read_bytes(folder / name, MOST_BYTES - size)
            size += len(content)
            files.append((name, content))
    except OSError as error:
        raise _unfit(f"{error.filename}: {error.strerror}") from error
    return files


def _names(folder: Path) -> list[str]:
    def refuse(error: OSError) -> None:
        raise error

    names: list[str] = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        if links := [name for name in folders if os.path.islink(os.path.join(place, name))]:
            raise _unfit(f"{os.path.join(place, links[0])} is a link")
        names += [os.path.relpath(os.path.join(place, name), folder) for name in files if not name.startswith(".")]
        if len(names) > MOST_FILES:
            raise _unfit(f"it holds more than {MOST_FILES} files")
    return names


def _unfit(why: str) -> CannotStart:
    return CannotStart(
        f"The folder of --checks cannot be used: {why}.",
        f"Name a folder of Python files, at most {MOST_FILES} with {MOST_BYTES // MIB} MiB: see docs/own-checks.md",
    )
