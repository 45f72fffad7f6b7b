"""Near paths: what a path that does not exist was likely meant to be, by what lies beside its first wrong part."""

import os
from itertools import islice
from pathlib import Path

from dgxcert import near_miss

LOOKED_AT = 10_000
"""Names of one folder that are compared: a results folder may hold years of runs."""


def closest(path: Path) -> list[Path]:
    """The paths that are like a missing one, at most three: its first part that is missing replaced by what is there.

    Names alone are read, and nothing is opened.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "waivers.yaml").touch()
    >>> [near.name for near in closest(folder / "waiver.yaml")]
    ['waivers.yaml']
    >>> closest(folder / "waivers.yaml")
    []
    """
    missing = _first_missing(path)
    if missing is None or missing.name in ("", ".."):
        return []
    rest = path.relative_to(missing)
    near = [missing.with_name(name) / rest for name in near_miss.closest(missing.name, _names(missing.parent))]
    return [each for each in near if os.path.lexists(each)]


def _first_missing(path: Path) -> Path | None:
    """The outermost part of a path that is not there; None where all of it is, or where that cannot be told."""
    try:
        return next((each for each in (*reversed(path.parents), path) if not os.path.lexists(each)), None)
    except ValueError:  # a NUL in it
        return None


def _names(folder: Path) -> list[str]:
    """Names in a folder; none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, LOOKED_AT)]
    except OSError:
        return []
