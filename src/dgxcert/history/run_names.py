"""Run names: a run by what people type for it, `latest`, the beginning of its id, its folder's name, or a path."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dgxcert import near_miss
from dgxcert.files import untrusted
from dgxcert.history import run_index
from dgxcert.outcome import CannotStart
from dgxcert.record import journal, run_folders
from dgxcert.record import run as runs

LATEST = "latest"
LEAST_CHARS = 4
"""The shortest beginning of an id."""
ID = re.compile(rf"[0-9a-f]{{{LEAST_CHARS},{runs.ID_CHARS}}}", re.IGNORECASE)
SHOWN = 5
"""Candidates that are named."""


@dataclass(frozen=True)
class Name:
    """What a run in a results folder is known by."""

    folder: str
    started: str
    id: str


def resolve(name: str | Path, results: Path) -> Path:
    """The folder of a run, by its path, `latest`, at least four digits that its id begins with, or its folder's name.

    A path that is there is taken first, and one with a slash is never looked for elsewhere. Raises CannotStart with the
    candidates where nothing or more than one is called so.
    """
    typed = str(name)
    if os.sep in typed or os.path.lexists(typed):
        return Path(typed)
    if typed not in ("", LATEST) and (results / typed).is_dir():
        return results / typed
    known = _known(results)
    if typed == LATEST:
        return results / _latest(known, results)
    return results / _by_id(typed, known, results)


def resolve_file(name: str | Path, results: Path) -> Path:
    """The signed file that a name stands for: a path, or that of the run which is called so. Raises as `resolve`."""
    typed = str(name)
    if os.sep in typed or os.path.lexists(typed):
        return Path(typed)
    folder = resolve(typed, results)
    found = run_folders.signed_file(folder)
    if found is None:
        raise CannotStart(f"{folder} is not signed.", f"Sign it: dgxcert sign {folder} --key KEY")
    return found


def _known(results: Path) -> list[Name]:
    """The runs of a results folder, those that did not end too, in the order in which they were started."""
    index = run_index.read(results)
    known = [Name(run.folder, run.started, run.id) for run in index.runs]
    for folder in index.unfinished:
        try:
            opened = journal.read(results / folder)[0]
        except CannotStart:
            continue
        if isinstance(opened, journal.Opened):
            known.append(Name(folder, opened.at, runs.short_id(opened.at, opened.machine)))
    return sorted(known, key=lambda each: (each.started, each.folder))


def _latest(known: list[Name], results: Path) -> str:
    if not known:
        raise CannotStart(f"{results} holds no run.", "Name another folder with --results, or validate first.")
    return known[-1].folder


def _by_id(typed: str, known: list[Name], results: Path) -> str:
    """The folder of the one run whose id begins so. Raises CannotStart."""
    named = f"{untrusted.shown(typed)[:60]!r}"
    found = [each for each in known if ID.fullmatch(typed) and each.id.startswith(typed.lower())]
    if len(found) == 1:
        return found[0].folder
    if found:
        raise CannotStart(f"{named} begins the id of {len(found)} runs: {_candidates(found)}.", "Type more of it.")
    if not known:
        raise CannotStart(f"There is no {named}, and {results} holds no run.", "Name a run folder, or --results.")
    words = [word for each in known for word in (each.id, each.folder)]
    hint = near_miss.hint(typed, [*words, LATEST])
    if not hint.startswith("did you mean"):
        hint = f"the last ones: {_candidates(known[-SHOWN:])}"
    raise CannotStart(
        f"There is no {named}, and no run in {results} is called so; {hint}.", "`dgxcert history` lists all."
    )


def _candidates(found: Iterable[Name]) -> str:
    """`3f2a91c0 (2026-11-30T06-11-43Z-laptop), …`."""
    each = [f"{run.id} ({run.folder})" for run in found]
    more = f" and {len(each) - SHOWN} more" if len(each) > SHOWN else ""
    return f"{', '.join(each[:SHOWN])}{more}"
