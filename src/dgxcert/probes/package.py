"""One Python package: whether it imports, and in which version."""

import importlib
import importlib.metadata
from dataclasses import dataclass

MODULES = {"scikit-learn": "sklearn", "huggingface-hub": "huggingface_hub"}
"""Distribution names that differ from what one imports."""


@dataclass(frozen=True)
class Package:
    """`problem` says why it does not import; empty when it does."""

    name: str
    version: str
    location: str
    problem: str

    @property
    def imports(self) -> bool:
        """Whether it loaded."""
        return not self.problem

    @property
    def says(self) -> str:
        """What came of the import, for a record."""
        return f"import {self.name}: {self.problem or self.location}"


def read(distribution: str) -> Package:
    """Import a package by its distribution name, in this process, and say what came of it.

    Whatever its import raises is the answer, not an error of the probe: a broken package may raise anything.
    """
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return Package(distribution, "not installed", "", f"{distribution} is not installed")
    try:
        module = importlib.import_module(MODULES.get(distribution, distribution))
    except Exception as error:  # what a broken package raises on import is the fact that was asked for
        return Package(distribution, version, "", f"{type(error).__name__}: {error}")
    return Package(distribution, version, str(getattr(module, "__file__", "")), "")
