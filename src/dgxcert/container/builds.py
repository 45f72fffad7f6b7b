"""The images that this user's builder made: their ids, since labels and history can be inherited or written by anyone.

An id is the hash of an image's configuration and layers: whatever is added to an image gives it another one.
"""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from dgxcert.files import atomic
from dgxcert.outcome import CannotStart

KEPT = 50


class Build(BaseModel):
    """One image that came out of a build."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    labels: dict[str, str]
    """Of the recipe that it was built from."""
    on_base: bool
    """Whether its first layers are those of the base image that the recipe names."""


BUILDS = TypeAdapter(tuple[Build, ...])


def file() -> Path:
    """Where they are kept: `dgxcert/images.json` in the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local" / "state") / "dgxcert" / "images.json"


def find(id: str, labels: dict[str, str]) -> Build | None:
    """The build that an image came out of, from a recipe with these labels; None where it is not known."""
    return next((build for build in _read() if (build.id, build.labels) == (id, labels)), None)


def keep(build: Build) -> str:
    """Keep a build for later runs; a message where that is not possible, which costs those runs a build."""
    others = [other for other in _read() if other.id != build.id]
    content = BUILDS.dump_json((*others, build)[-KEPT:], indent=1).decode() + "\n"
    path = file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, content)
    except (OSError, CannotStart) as error:
        return f"{error}: the next run builds the image again, from the cache"
    return ""


def _read() -> tuple[Build, ...]:
    """All that are kept; none where the file is missing or damaged, which costs a build."""
    try:
        return BUILDS.validate_json(file().read_bytes())
    except (OSError, ValidationError):
        return ()
