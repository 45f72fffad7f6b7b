"""Packages beside the lock: what is installed and belongs neither to the stack, nor to dgxcert, nor to the base image.

They are no fault by themselves. One that breaks a library of the stack is found by `trial` and named by `intruder`.
"""

import os
import sys
from importlib import metadata
from pathlib import Path

from dgxcert.machine.software import STACK, canonical
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import lockfile, packages, placement
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.placement import Package, Place, SearchPath

TOOLS = frozenset({"pip", "setuptools", "wheel", "distribute", "dgxcert", "packaging", "uv"})
"""In every environment that a package is installed into, and no library of the stack reads their versions."""

SHOWN = 40
"""Packages that one piece of evidence names."""


def read(lock: StackLock, path: SearchPath) -> tuple[Package, ...]:
    """The packages that a user's Python finds and that are not as this environment was made, by name.

    A package of the lock that is found in another version, or in a folder outside the environment, is one of them.
    """
    own = _own(lock)
    found = []
    for name, distributions in sorted(packages.installed(path).items()):
        package = placement.package(distributions[0], path)
        pinned = lock.versions.get(name)
        if pinned is not None:
            strange = not packages.is_same(package.version, pinned) or package.place in packages.OUTSIDE
        else:
            strange = name not in own and not _is_of_the_image(lock, package)
        if strange:
            found.append(package)
    return tuple(found)


def of_this_environment() -> tuple[Package, ...]:
    """The packages beside the lock of this environment; none where it has no lock."""
    try:
        return read(lockfile.read(), packages.search_path())
    except Inconclusive:
        return ()


def summary(found: tuple[Package, ...]) -> str:
    """The packages, each with its version, its installer and its folder."""
    more = f"; and {len(found) - SHOWN} more" if found[SHOWN:] else ""
    return "; ".join(map(str, found[:SHOWN])) + more or "no package is installed beside the lock"


def _own(lock: StackLock) -> frozenset[str]:
    """The packages that setup installs: those in its stamp, and all that dgxcert and the stack require."""
    stamp = Path(sys.prefix, lockfile.STAMP)
    lines = stamp.read_text(encoding="utf-8", errors="replace").splitlines() if stamp.is_file() else []
    stamped = {line.partition("==")[0] for line in lines if "==" in line}
    return frozenset({*STACK, *TOOLS, *lock.of_base, *stamped, *_required()})


def _required() -> frozenset[str]:
    """All that dgxcert and the stack require, dgxcert with its extras, and what follows from that."""
    from packaging.requirements import Requirement  # a dependency of pytest

    known: set[str] = set()
    waiting = [("dgxcert", True), *((name, False) for name in STACK)]
    while waiting:
        name, with_extras = waiting.pop()
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, lines):
            wanted = canonical(requirement.name)
            if wanted not in known and (with_extras or _applies(requirement)):
                known.add(wanted)
                waiting.append((wanted, False))
    return frozenset(known)


def _applies(requirement: "object") -> bool:
    marker = getattr(requirement, "marker", None)
    return marker is None or bool(marker.evaluate({"extra": ""}))


def _is_of_the_image(lock: StackLock, package: Package) -> bool:
    """Whether a package came with the base image, which holds hundreds of NVIDIA's and Debian's own."""
    if not lock.in_image:
        return package.place is Place.OTHER_PYTHON and package.installer == "apt"
    if lock.base_packages:
        return lock.base_packages.get(package.name) == package.version
    return package.place not in packages.OUTSIDE and not os.access(package.folder, os.W_OK)
