"""The installed packages: which differ from the lock, exist twice, are hidden or edited, as a user's Python finds them.

A user's Python is started in the folder in which dgxcert was started: a file there, PYTHONPATH and packages in the
user's home come before what is installed.
"""

import ast
import base64
import hashlib
import os
import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dgxcert import command
from dgxcert.judgement.limit import Limit
from dgxcert.machine.software import STACK, canonical
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import placement
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.placement import Package, Place, SearchPath

STARTED_IN = "DGXCERT_STARTED_IN"
"""Set by `dgxcert validate`, whose child processes work in another folder."""

MIN_VERIFIED = Limit(
    name="bytes of the stack",
    min=100,
    unit="MB",
    source="the stack is 300 MB without torch; less than a third of it would prove nothing",
)


@dataclass(frozen=True)
class Finding:
    """One package that is not as it must be."""

    name: str
    found: str
    expected: str
    remedy: tuple[str, ...] = ()
    """The steps that mend this finding, where it lies outside what pip and setup restore."""

    def __str__(self) -> str:
        return f"{self.name}: found {self.found}, expected {self.expected}"


def summary(findings: list[Finding]) -> str:
    """The findings as one value of evidence; `none` without any.

    >>> summary([Finding("peft", "0.17.0", "0.18.1")])
    'peft: found 0.17.0, expected 0.18.1'
    """
    return "; ".join(map(str, findings)) or "none"


SEARCH = """import sys
site = sys.modules.get("site")
print(ascii((sys.path, site.USER_SITE if site and site.ENABLE_USER_SITE else "", sys.prefix)))
"""
"""With -c the working folder is first in sys.path, as for a user. Only sys, which is built in, is imported: no file in
that folder can be executed."""


def search_path() -> SearchPath:
    """The sys.path of a user's Python. Raises Inconclusive where that Python does not start."""
    started_in = os.environ.get(STARTED_IN) or os.getcwd()
    done = command.run([sys.executable, "-c", SEARCH], timeout_s=60, cwd=Path(started_in))
    if done.returncode != 0:
        raise Inconclusive(f"Python does not start in {started_in}: {done.complaint}")
    folders, user_site, prefix = ast.literal_eval(done.stdout.strip().splitlines()[-1])

    def real(folder: str) -> str:
        return os.path.realpath(os.path.join(started_in, folder))

    return SearchPath(
        started_in,
        tuple(map(real, folders)),
        frozenset(map(real, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))),
        real(user_site) if user_site else "",
        os.path.realpath(prefix),
    )


def installed(path: SearchPath) -> dict[str, list[metadata.Distribution]]:
    """Every distribution by canonical name, each in the order of the search path."""
    by_name: dict[str, list[metadata.Distribution]] = defaultdict(list)
    for distribution in metadata.distributions(path=list(dict.fromkeys(path.folders))):
        if name := distribution.metadata["Name"]:
            by_name[canonical(name)].append(distribution)
    return by_name


def other_versions(lock: StackLock, path: SearchPath) -> list[Finding]:
    """Packages of the lock that are missing, or found in another version, from whatever folder."""
    found = installed(path)
    findings = [finding for finding in _without_metadata(path) if finding.name in lock.versions]
    for name, pinned in sorted(lock.versions.items()):
        if name not in found:
            findings.append(Finding(name, "nothing", pinned))
        elif not is_same(found[name][0].version, pinned):
            folder = _folder(found[name][0])
            place, version = path.place(folder), found[name][0].version
            strange = place not in (Place.ENVIRONMENT, Place.OTHER_PYTHON) or len(found[name]) > 1
            where = f" {place}: {folder}" if strange else ""
            steps = placement.removal(place, folder, f"{name} {version}") if strange and place in OUTSIDE else ()
            findings.append(Finding(name, f"{version}{where}", pinned, steps))
    return findings


def _without_metadata(path: SearchPath) -> list[Finding]:
    """Folders of metadata without a version, which an interrupted pip leaves: transformers may read None from them."""
    findings = []
    for folder in (Path(each) for each in dict.fromkeys(path.folders)):
        for info in sorted(folder.glob("*.dist-info")) if folder.is_dir() else ():
            if not (info / "METADATA").is_file() and not info.name.startswith("~"):
                steps = (f"Set aside what an interrupted pip has left: mv {info} {info}.left",)
                name = canonical(info.name.removesuffix(".dist-info").rpartition("-")[0])
                findings.append(
                    Finding(name, f"a version that is in no file of {info}", "a file METADATA there", steps)
                )
    return findings


OUTSIDE = (Place.PYTHONPATH, Place.USER_SITE, Place.WORKING_FOLDER, Place.PTH)
"""Places that are read before or beside the environment, and in which neither pip nor setup changes anything."""


def _folder(distribution: metadata.Distribution) -> str:
    return os.path.realpath(str(distribution.locate_file("")))


def remedy(findings: list[Finding], lock: StackLock) -> tuple[str, ...]:
    """The steps that mend the findings: first those of what lies outside the environment, then those of setup.

    >>> findings = [Finding("peft", "0.17.0", "0.18.1", ("Type this: unset PYTHONPATH",))]
    >>> remedy(findings, StackLock("course", "the lock", {}))
    ('Type this: unset PYTHONPATH',)
    """
    inside = () if findings and all(finding.remedy for finding in findings) else lock.restore
    return (*steps(findings), *inside)


def steps(findings: list[Finding]) -> tuple[str, ...]:
    """The steps of the findings themselves, each once, in their order."""
    return tuple(dict.fromkeys(step for finding in findings for step in finding.remedy))


def restoring(findings: list[Finding], lock: StackLock) -> tuple[str, ...]:
    """The steps of `overwritten` findings, then those of setup: pip takes the replaced files away with their package.

    >>> restoring([], StackLock("course", "the lock", {}))
    ()
    """
    return (*steps(findings), *lock.restore) if findings else ()


def is_same(version: str, other: str) -> bool:
    """Whether two versions are equal: packages write `1.0-rc1` where an index writes `1.0rc1`."""
    from packaging.version import InvalidVersion, Version  # a dependency of pytest

    try:
        return Version(version) == Version(other)
    except InvalidVersion:
        return version == other


def duplicates(lock: StackLock, path: SearchPath) -> list[Finding]:
    """Packages that are installed twice: those of the stack in any folders, others in the same folder.

    Debian and the base image have a system copy of PyYAML, for one, behind a newer one in another folder.
    """
    findings = []
    for name, distributions in sorted(installed(path).items()):
        folders = [_folder(distribution) for distribution in distributions]
        same_folder = len(set(folders)) < len(folders) and (name in lock.versions or name in STACK)
        if same_folder or (name in STACK and len(distributions) > 1):
            copies = list(zip(distributions, folders, strict=True))
            found = " and ".join(f"{distribution.version} in {folder}" for distribution, folder in copies)
            outside = [(each, folder) for each, folder in copies if path.place(folder) in OUTSIDE]
            steps = [
                placement.removal(path.place(folder), folder, f"{name} {each.version}") for each, folder in outside
            ]
            findings.append(Finding(name, found, "one", tuple(step for some in steps for step in some)))
    return findings


def altered(lock: StackLock, path: SearchPath) -> tuple[list[Finding], int]:
    """Packages of the stack whose files differ from their lists of hashes, and the number of bytes verified.

    Packages of the base image are skipped: TORCH-UNTOUCHED verifies them. Raises Inconclusive for a package without a
    list of files.
    """
    findings, size_bytes = [], 0
    for name, distributions in sorted(installed(path).items()):
        if name not in STACK or name in lock.of_base:
            continue
        files = distributions[0].files
        if files is None:
            raise Inconclusive(f"{name} has no list of its files", *lock.restore)
        if not any(file.hash for file in files):  # every wheel of an index has hashes
            findings.append(Finding(name, "a package that lists no hash of its files", "the files that were installed"))
        wrong = []
        for file in files:
            if file.hash is not None:
                location = Path(str(file.locate()))
                size_bytes += location.stat().st_size if location.is_file() else 0
                wrong += [] if _digest(location, file.hash.mode) == file.hash.value else [location]
        if wrong:
            more = f" and {len(wrong) - 1} more" if wrong[1:] else ""
            what = "another" if wrong[0].is_file() else "no"
            findings.append(Finding(name, f"{what} {wrong[0]}{more}", "the files that were installed"))
    return findings, size_bytes


def overwritten(guests: tuple[Package, ...], path: SearchPath) -> list[Finding]:
    """Files of this environment's packages that a package beside the lock has replaced by its own of the same name.

    nvidia-cudnn-cu12 and nvidia-cudnn-cu13, for one, both install nvidia/cudnn/lib/libcudnn.so.9: torch then loads
    whichever came last.
    """
    names = {guest.name: guest for guest in guests if guest.place is Place.ENVIRONMENT}
    found = installed(path)
    theirs = {
        str(file): name
        for name in names
        for file in found[name][0].files or ()
        if file.suffix in (".py", ".so", ".pyd") or ".so." in file.name
    }
    findings: dict[tuple[str, str], Finding] = {}
    for name, distributions in found.items() if theirs else ():
        for file in distributions[0].files or () if name not in names else ():
            guest = theirs.get(str(file))
            if guest and (guest, name) not in findings and _is_replaced(file):
                what = f"{file} of {guest} {names[guest].version}"
                findings[guest, name] = Finding(name, what, "the file that was installed", names[guest].removal)
    return list(findings.values())


def _is_replaced(file: metadata.PackagePath) -> bool:
    """Whether a file is there with another size or hash than its package lists; a test of sizes spares large files."""
    location = Path(str(file.locate()))
    if file.hash is None or not location.is_file():
        return False
    if file.size is not None and location.stat().st_size != file.size:
        return True
    return _digest(location, file.hash.mode) != file.hash.value


def _digest(path: Path, algorithm: str) -> str:
    """A file's hash as in RECORD (URL-safe base64 without padding); empty for a missing file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, algorithm).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
