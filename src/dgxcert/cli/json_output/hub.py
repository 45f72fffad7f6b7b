"""What `dgxcert hub --json` and `dgxcert cache --json` print: whether models can be had, and which are here."""

from collections.abc import Iterable, Mapping
from typing import Any

from dgxcert.cli.exit_code import Cache as CacheExit
from dgxcert.cli.json_output.document import Document, Part
from dgxcert.probes.hub import diagnosis
from dgxcert.probes.hub.cache.contents import Content
from dgxcert.probes.hub.diagnosis import Diagnosis
from dgxcert.probes.hub.model_cache import CachedCheckpoint, CachedFile


class Step(Part):
    """One step of a download."""

    name: str
    state: str
    """ok, failed, late (killed at its time limit) or skipped."""
    cause: str
    host: str
    detail: str
    seconds: float
    remedy: tuple[str, ...]
    notes: tuple[str, ...]


class Hub(Document):
    """Whether models can be downloaded from the Hub."""

    failed: str
    """The step that fails; `none` where models can be downloaded."""
    meaning: str
    remedy: tuple[str, ...]
    conclusive: bool
    """Whether something here is wrong; otherwise the Hub does not answer, and nothing is known."""
    cause: str
    seconds: float
    notes: tuple[str, ...]
    steps: tuple[Step, ...]
    repository: dict[str, Any] | None = None
    """What `--repo` asked about, and what the Hub says of it."""


class File(Part):
    """A file against the hash that is known of it."""

    name: str
    state: str
    """verified, missing, wrong, unreadable, unverified or partial."""
    detail: str


class Checkpoint(Part):
    """A pinned checkpoint in the cache."""

    repo: str
    revision: str
    purpose: str
    needed: bool
    """Whether the profile needs it."""
    usable: bool
    main_problem: str
    """Why code that names no revision cannot load it."""
    fetch: str
    """The command that downloads it; empty where it is usable."""
    files: tuple[File, ...]


class Cache(Document):
    """The checkpoints of the Hub cache; with `--repo` the files of one repository."""

    folder: str
    complete: bool
    """Whether all that the profile needs are usable; with `--repo`, whether no file differs from its hash."""
    checkpoints: tuple[Checkpoint, ...] = ()
    unpinned: tuple[str, ...] = ()
    """Repositories in the cache of which nothing is pinned."""
    repository: str | None = None
    files: tuple[File, ...] = ()
    """Of the repository that `--repo` names."""
    exit_code: int


def of_diagnosis(found: Diagnosis, repository: dict[str, Any] | None) -> Hub:
    """The document of a diagnosis."""
    told: dict[str, Any] = diagnosis.report(found)
    return Hub(**told, repository=repository)


def of_cache(
    cached: Mapping[str, CachedCheckpoint],
    needed: Iterable[str],
    folder: str,
    unpinned: Iterable[str],
    fetch: Mapping[str, str],
) -> Cache:
    """The document of all pinned checkpoints; `fetch` are the commands that download those that are not usable."""
    wanted = set(needed)
    complete = all(cached[name].usable for name in wanted)
    checkpoints = (
        Checkpoint(
            repo=each.checkpoint.repo,
            revision=each.checkpoint.revision,
            purpose=each.checkpoint.purpose,
            needed=name in wanted,
            usable=each.usable,
            main_problem=each.main_problem,
            fetch=fetch.get(name, ""),
            files=tuple(map(_file, each.files)),
        )
        for name, each in cached.items()
    )
    code = CacheExit.COMPLETE if complete else CacheExit.INCOMPLETE
    return Cache(
        folder=folder, complete=complete, checkpoints=tuple(checkpoints), unpinned=tuple(unpinned), exit_code=code
    )


def of_repository(name: str, folder: str, files: Iterable[Content], code: CacheExit) -> Cache:
    """The document of one repository; without files where the cache does not hold it."""
    complete = code is CacheExit.COMPLETE
    return Cache(folder=folder, complete=complete, repository=name, files=tuple(map(_file, files)), exit_code=code)


def _file(file: CachedFile | Content) -> File:
    return File(name=file.name, state=file.state, detail=file.detail)
