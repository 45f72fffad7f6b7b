"""The installed packages: what of them is not as it must be, by name, with what was found and what was wanted.

Looked at as a user's own Python would find them, which is started in the folder where dgxcert was started: a file
there, PYTHONPATH, and packages in the user's home come before what is installed.
"""

import ast
import base64
import hashlib
import os
import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib import machinery, metadata
from pathlib import Path

from dgxcert import command
from dgxcert.judgement.limit import Limit
from dgxcert.machine.software import STACK, canonical
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import package_import
from dgxcert.probes.stack.lockfile import StackLock

STARTED_IN = "DGXCERT_STARTED_IN"
"""Set by `dgxcert validate`, whose children work elsewhere."""

WATCHED = (*STACK, "numpy", "pandas", "pyarrow", "triton", "hf-xet")
"""What must not be hidden by a file of the same name."""

LEAST_LOOKED_AT = Limit(
    name="bytes of the stack",
    min=100,
    unit="MB",
    source="the stack takes 300 MB without torch; a look at nearly nothing proves nothing",
)


@dataclass(frozen=True)
class Finding:
    """One package that is not as it must be."""

    name: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.name}: found {self.found}, wanted {self.wanted}"


def said(findings: list[Finding]) -> str:
    """The findings as one value of evidence; `none` where there is none."""
    return "; ".join(map(str, findings)) or "none"


@dataclass(frozen=True)
class Place:
    """Where a user's Python looks, in order; the first folder is the one that it is started in."""

    started_in: str
    folders: tuple[str, ...]


def place() -> Place:
    """Ask a Python that is started as a user's is; nothing of that folder is run.

    Raises Inconclusive where that Python does not start.
    """
    started_in = os.environ.get(STARTED_IN) or os.getcwd()
    asked = command.run(
        [sys.executable, "-c", "import sys; print(ascii(sys.path))"], timeout_s=60, cwd=Path(started_in)
    )
    if asked.returncode != 0:
        raise Inconclusive(f"a Python started in {started_in} does not come up: {asked.complaint}")
    printed = asked.stdout.strip().splitlines()[-1]
    return Place(
        started_in, tuple(os.path.realpath(os.path.join(started_in, each)) for each in ast.literal_eval(printed))
    )


def installed(where: Place) -> dict[str, list[metadata.Distribution]]:
    """Every distribution by canonical name, each in the order in which it is found."""
    found: dict[str, list[metadata.Distribution]] = defaultdict(list)
    for distribution in metadata.distributions(path=list(dict.fromkeys(where.folders))):
        if name := distribution.metadata["Name"]:
            found[canonical(name)].append(distribution)
    return found


def other_versions(lock: StackLock, where: Place) -> list[Finding]:
    """Packages of the lock that are gone, or here in another version than it pins."""
    found = {name: each[0].version for name, each in installed(where).items()}
    return [
        Finding(name, found.get(name, "nothing"), wanted)
        for name, wanted in sorted(lock.versions.items())
        if name not in found or not _same(found[name], wanted)
    ]


def _same(found: str, wanted: str) -> bool:
    """Whether two versions are one: packages write `1.0-rc1` where an index writes `1.0rc1`."""
    from packaging.version import InvalidVersion, Version  # comes with pytest

    try:
        return Version(found) == Version(wanted)
    except InvalidVersion:
        return found == wanted


def duplicates(lock: StackLock, where: Place) -> list[Finding]:
    """Packages that are installed twice: of the stack's own anywhere, of all others in one and the same folder.

    Elsewhere a distribution's own copy of, say, PyYAML behind a newer one is how Debian and the base image are.
    """
    findings = []
    for name, found in sorted(installed(where).items()):
        folders = [str(each.locate_file("")) for each in found]
        same = len(set(folders)) < len(folders) and (name in lock.versions or name in STACK)
        if same or (name in STACK and len(found) > 1):
            places = " and ".join(f"{each.version} in {folder}" for each, folder in zip(found, folders, strict=True))
            findings.append(Finding(name, places, "one"))
    return findings


def shadowed(where: Place) -> list[Finding]:
    """Packages in whose place a user's Python would load a file that does not belong to them."""
    machinery.PathFinder.invalidate_caches()
    findings = []
    for name, found in installed(where).items():
        if name not in WATCHED:
            continue
        imported = package_import.module(name)
        spec = machinery.PathFinder.find_spec(imported, list(where.folders))
        origin = spec.origin if spec is not None else None
        if origin is None or not any(_holds(each, imported, Path(origin)) for each in found):
            findings.append(Finding(name, origin or "nothing", str(found[0].locate_file(imported))))
    return findings


def _holds(distribution: metadata.Distribution, imported: str, origin: Path) -> bool:
    """Whether a file belongs to a distribution, by its list of files; one without a list: whether it lies there."""
    folder = Path(str(distribution.locate_file("")))
    if distribution.files is None:
        return origin.is_relative_to(folder / imported)
    return origin.is_relative_to(folder) and str(origin.relative_to(folder)) in map(str, distribution.files)


def unshadow(findings: list[Finding], where: Place) -> tuple[str, ...]:
    """What brings the packages' own files to light again."""
    hiding = [Path(finding.found) for finding in findings if finding.found != "nothing"]
    steps = []
    for path in hiding:
        own = path.parent if path.name == "__init__.py" else path
        steps.append(f"Give it another name: mv {own} {own.parent}/my_{own.name}")
    if any(str(path).startswith(where.started_in + os.sep) for path in hiding):
        steps.append(f"Or work in another folder than {where.started_in}.")
    return (*steps, "A folder that PYTHONPATH names: unset PYTHONPATH", "In your home: export PYTHONNOUSERSITE=1")


def altered(lock: StackLock, where: Place) -> tuple[list[Finding], int]:
    """Files of the stack's packages that are not as they were installed, and how many bytes were looked at.

    What the base image brought is left out: TORCH-UNTOUCHED looks at that. Raises Inconclusive for a package without
    a list of its files.
    """
    findings, size = [], 0
    for name, found in sorted(installed(where).items()):
        if name not in STACK or name in lock.of_base:
            continue
        if found[0].files is None:
            raise Inconclusive(f"{name} has no list of its files", *lock.mend([name]))
        if not any(file.hash for file in found[0].files):  # as no wheel of an index is
            findings.append(Finding(name, "a package that lists no hash of its files", "the files that were installed"))
        wrong = []
        for file in found[0].files:
            if file.hash is not None:
                path = Path(str(file.locate()))
                size += path.stat().st_size if path.is_file() else 0
                wrong += [] if _digest(path, file.hash.mode) == file.hash.value else [path]
        if wrong:
            more = f" and {len(wrong) - 1} more" if wrong[1:] else ""
            what = "another" if wrong[0].is_file() else "no"
            findings.append(Finding(name, f"{what} {wrong[0]}{more}", "the files that were installed"))
    return findings, size


def _digest(path: Path, mode: str) -> str:
    """A file's hash as wheels write it; empty where there is no file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, mode).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
