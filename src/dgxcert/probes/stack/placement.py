"""Where an installed package lies, who installed it, and what takes it out of a user's Python again.

pip uninstalls only from the environment that it runs in: a package in PYTHONPATH, in the user's home or in a folder
that a .pth file names stays where it is, and the variable or the file has to go.
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from dgxcert.machine.software import canonical


class Place(StrEnum):
    """A kind of folder in sys.path; the value completes the sentence `found 1.0 ...`."""

    ENVIRONMENT = "in this environment"
    PYTHONPATH = "in PYTHONPATH"
    USER_SITE = "in the user's own site-packages"
    WORKING_FOLDER = "in the working folder"
    PTH = "through a .pth file"
    OTHER_PYTHON = "of another Python"


@dataclass(frozen=True)
class SearchPath:
    """The sys.path of a user's Python, and which of its folders stand there for which reason."""

    started_in: str
    """The folder in which it is started, which comes first."""
    folders: tuple[str, ...]
    pythonpath: frozenset[str] = frozenset()
    """The folders that the variable names."""
    user_site: str = ""
    """The user's own site-packages; empty where that Python does not read them."""
    prefix: str = sys.prefix

    def place(self, folder: str) -> Place:
        """Why a folder is in sys.path.

        >>> path = SearchPath("/work", ("/work", "/more"), pythonpath=frozenset({"/more"}), prefix="/venv")
        >>> path.place("/more"), path.place("/venv/lib/python3.12/site-packages"), path.place("/work")
        (<Place.PYTHONPATH: 'in PYTHONPATH'>, <Place.ENVIRONMENT: 'in this environment'>, <Place.WORKING_FOLDER: 'in the working folder'>)
        """  # noqa: E501 (the output of one expression)
        if folder in self.pythonpath:
            return Place.PYTHONPATH
        if self.user_site and folder == self.user_site:
            return Place.USER_SITE
        if folder == self.started_in:
            return Place.WORKING_FOLDER
        if Path(folder).is_relative_to(self.prefix):
            return Place.ENVIRONMENT
        return Place.PTH if self.pth_file(folder) else Place.OTHER_PYTHON

    def pth_file(self, folder: str) -> str:
        """The .pth file that puts a folder into sys.path; empty where none does."""
        for site_folder in self.folders:
            for file in sorted(Path(site_folder).glob("*.pth")) if Path(site_folder).is_dir() else ():
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
                if any(os.path.realpath(os.path.join(site_folder, line.strip())) == folder for line in lines if line):
                    return str(file)
        return ""


@dataclass(frozen=True)
class Package:
    """One installed distribution, as a user's Python finds it."""

    name: str
    version: str
    folder: str
    place: Place
    installer: str
    """pip, uv, conda, apt; with the source of an editable install; `nobody knows` without a record."""
    modules: tuple[str, ...]
    """The top-level modules that it installs."""

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.installer}, {self.place}: {self.folder})"

    @property
    def removal(self) -> tuple[str, ...]:
        """The steps after which a user's Python no longer finds it; the version to return to is named."""
        if self.place is Place.ENVIRONMENT and self.installer != "conda":
            return (
                f"Remove {self.name} {self.version} from this environment, in `make shell`: "
                f"python -m pip uninstall -y {self.name}",
                f"If you need {self.name}, give it an environment of its own, with the torch that it was built for.",
            )
        return removal(self.place, self.folder, f"{self.name} {self.version}")


def removal(place: Place, folder: str, what: str) -> tuple[str, ...]:
    """The steps after which Python no longer looks into a folder that pip of this environment does not touch.

    >>> removal(Place.USER_SITE, "/home/ada/.local/lib/python3.12/site-packages", "peft 0.17.0")[0]
    'In this shell, and in the notebook server: export PYTHONNOUSERSITE=1'
    """
    if place is Place.PYTHONPATH:
        return (
            "In this shell, and in the one that starts your notebooks: unset PYTHONPATH",
            f"If it comes back with a new shell ({folder} holds {what}), find the line that sets it: "
            "grep -ns PYTHONPATH ~/.bashrc ~/.profile ~/.bash_profile /etc/environment",
        )
    if place is Place.USER_SITE:
        return (
            "In this shell, and in the notebook server: export PYTHONNOUSERSITE=1",
            f"For good: add that line to ~/.bashrc; {folder} stays as it is.",
        )
    if place is Place.WORKING_FOLDER:
        return (f"Work in another folder than {folder}, which holds {what}.",)
    if place is Place.PTH:
        return (f"Give the .pth file that names {folder} another ending, such as .off: {what} comes from there.",)
    return (
        f"Leave {folder} as it is: {what} belongs to another Python (conda, or the system's). "
        "Set up an environment that does not read it: make setup VENV=.venv-dgxcert",
    )


def package(distribution: metadata.Distribution, path: SearchPath) -> Package:
    """What is known of a distribution."""
    folder = os.path.realpath(str(distribution.locate_file("")))
    return Package(
        canonical(distribution.metadata["Name"]),
        distribution.version or "of an unknown version",
        folder,
        path.place(folder),
        installer(distribution, folder),
        modules(distribution),
    )


def installer(distribution: metadata.Distribution, folder: str) -> str:
    """Who installed a distribution: INSTALLER and direct_url.json (PEP 376, PEP 610) say so, or its folder does."""
    name = str(distribution.metadata["Name"])
    if any(Path(sys.prefix, "conda-meta").glob(f"{canonical(name)}-[0-9]*.json")):
        return "conda"
    if folder.endswith("/dist-packages") and not folder.startswith("/usr/local/"):
        return "apt"
    who = (distribution.read_text("INSTALLER") or "").strip() or "nobody knows"
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if isinstance(origin, dict) and (origin.get("dir_info") or {}).get("editable"):
        return f"{who}, editable from {origin.get('url', 'an unknown folder')}"
    if distribution.files is None and str(getattr(distribution, "_path", "")).endswith(".egg-info"):
        return "a development install" if who == "nobody knows" else who
    return who


def modules(distribution: metadata.Distribution) -> tuple[str, ...]:
    """The top-level modules and packages of a distribution: by its files, or by top_level.txt, or by its name."""
    # The text of RECORD and not `files`: torch lists 15,000 files, whose rows take a second to parse.
    paths = [line.partition(",")[0] for line in (distribution.read_text("RECORD") or "").splitlines()]
    paths = paths or list(map(str, distribution.files or ()))
    near = (path for path in paths if path.count("/") == 0 or path.endswith("/__init__.py"))
    found = {name for path in near if (name := _module(path.split("/")))}
    named = (distribution.read_text("top_level.txt") or "").split()
    return tuple(sorted(found or named)) or (canonical(str(distribution.metadata["Name"])).replace("-", "_"),)


def _module(parts: Iterable[str]) -> str:
    """The module that a file of a distribution belongs to; empty for one that Python cannot import.

    >>> _module(("torchvision", "__init__.py")), _module(("six.py",)), _module(("_cffi.cpython-312.so",))
    ('torchvision', 'six', '_cffi')
    >>> _module(("torchvision", "io", "image.py")), _module(("six-1.0.dist-info", "RECORD"))
    ('', '')
    """
    first, *rest = parts
    if rest:
        return first if rest == ["__init__.py"] and first.isidentifier() else ""
    stem, _, ending = first.partition(".")
    return stem if ending.endswith(("py", "so")) and stem.isidentifier() else ""
