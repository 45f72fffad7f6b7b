"""Completion: the values that a shell offers for options and arguments. It must be quick, and it never complains."""

from collections.abc import Iterable
from pathlib import Path

import typer

from dgxcert.outcome import CannotStart

OFFERED = 50
"""Runs that are offered, the newest ones."""


def profiles(incomplete: str) -> list[str]:
    """Profiles by name, and `auto`."""
    from dgxcert.profiles import profile

    return _beginning(incomplete, ["auto", *profile.names()])


def only(incomplete: str) -> list[str]:
    """Groups and requirements; of several with commas the last one is completed."""
    from dgxcert.cli.usage import declared_names
    from dgxcert.plan import suite

    before, comma, last = incomplete.rpartition(",")
    try:
        names = declared_names.find(suite.root())
    except (CannotStart, OSError):
        return []
    return [f"{before}{comma}{name}" for name in _beginning(last, names)]


def requirements(incomplete: str) -> list[str]:
    """Requirements by id."""
    return [name for name in only(incomplete) if name.isupper()]


def stacks(incomplete: str) -> list[str]:
    """Stacks of Hugging Face packages."""
    return _beginning(incomplete, ["course", "current"])


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """`latest`, and the newest runs in the results folder by their folder's name; a path is left to the shell."""
    from dgxcert.record import run_folders

    results = Path(context.params.get("results") or "results")
    try:
        found = run_folders.find(results).folders
    except CannotStart:
        return []
    newest = sorted((folder.path.name for folder in found), reverse=True)[:OFFERED]
    return _beginning(incomplete, ["latest", *newest])


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
