"""Shadows: files that a user's Python imports in place of an installed package, or of a module of Python's own.

A script named random.py or a folder `datasets` beside a notebook is enough, and so is a folder in PYTHONPATH.
"""

import _imp
import os
import sys
from importlib import machinery, metadata
from pathlib import Path

from dgxcert.machine.software import STACK
from dgxcert.probes.stack import packages, placement
from dgxcert.probes.stack.lockfile import StackLock
from dgxcert.probes.stack.packages import OUTSIDE, Finding
from dgxcert.probes.stack.placement import SearchPath

WATCHED = (*STACK, "numpy", "pandas", "pyarrow", "triton", "hf-xet")
"""Packages that a file of the same name must not hide, whether or not the lock names them."""

NOT_IMPORTED = (
    "test this antigravity idlelib turtle turtledemo tkinter lib2to3 pydoc_data ensurepip venv msilib msvcrt winreg "
    "winsound nt nturl2path ossaudiodev spwd nis crypt aifc sunau sndhdr chunk xdrlib uu mailcap imaplib nntplib "
    "poplib telnetlib smtpd zipapp graphlib tabnanny symtable asynchat asyncore cgitb pipes imp"
)
"""Modules of Python's own that neither the stack nor a notebook server imports: a file of that name hides nothing."""

STDLIB = "Python's own"
SHOWN = 10
"""Findings that one piece of evidence names."""


def read(lock: StackLock, path: SearchPath) -> list[Finding]:
    """What a user's Python would import from elsewhere: modules of the lock's packages, and of Python's own."""
    machinery.PathFinder.invalidate_caches()
    return [*_of_packages(lock, path), *_of_python(path)]


def _of_packages(lock: StackLock, path: SearchPath) -> list[Finding]:
    findings = []
    for name, distributions in packages.installed(path).items():
        if name not in WATCHED and name not in lock.versions:
            continue
        for module in placement.modules(distributions[0]):
            spec = machinery.PathFinder.find_spec(module, list(path.folders))
            origin = spec.origin if spec is not None else None
            if origin is None or not any(_owns(each, module, Path(origin)) for each in distributions):
                expected = str(distributions[0].locate_file(module))
                findings.append(Finding(name, origin or "nothing", expected, _way_out(origin, path)))
    return findings


def _owns(distribution: metadata.Distribution, module: str, origin: Path) -> bool:
    """Whether a file is in a distribution's list of files; without a list, whether it is in its folder."""
    folder = Path(str(distribution.locate_file("")))
    record = distribution.read_text("RECORD")
    if record is None:
        return origin.is_relative_to(folder / module) or origin.parent == folder
    return origin.is_relative_to(folder) and f"\n{origin.relative_to(folder)}," in f"\n{record}"


def _of_python(path: SearchPath) -> list[Finding]:
    """Modules of Python's own, except those that are part of the interpreter, which no file can hide."""
    own = os.path.realpath(os.path.dirname(os.__file__))
    before = list(path.folders[: path.folders.index(own)] if own in path.folders else path.folders[:1])
    findings = []
    for name in sorted(sys.stdlib_module_names - set(NOT_IMPORTED.split()) - set(sys.builtin_module_names)):
        spec = None if _imp.is_frozen(name) else machinery.PathFinder.find_spec(name, before)
        if spec is not None and spec.origin is not None:
            findings.append(Finding(name, spec.origin, STDLIB, _way_out(spec.origin, path)))
    return findings


def _way_out(origin: str | None, path: SearchPath) -> tuple[str, ...]:
    """The steps after which the right file is imported again; those of the lock where there is no file at all."""
    if origin is None:
        return ()
    file = Path(origin)
    own = file.parent if file.name.startswith("__init__.") else file
    folder = os.path.realpath(own.parent)
    place = path.place(folder)
    rename = f"Give {own.name}, which the evidence names with its folder, another name."
    return (rename, *(placement.removal(place, folder, own.name) if place in OUTSIDE else ()))


def summary(findings: list[Finding]) -> str:
    """The findings as one value of evidence, not more than a screen of them; `none` without any."""
    more = f"; and {len(findings) - SHOWN} more" if findings[SHOWN:] else ""
    return packages.summary(findings[:SHOWN]) + more
