"""Run names: a run by what people type for it, `latest`, the beginning of its id, its folder's name, or a path."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
AHEAD = timedelta(days=1)
"""How far the clocks of machines may be apart."""
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
    candidates where nothing or more than one is called so, and where the latest run began in the future.
    """
    typed = str(name)
    if os.sep in typed or os.path.lexists(typed):
        return Path(typed)
    if typed not in ("", LATEST) and (results / typed).is_dir():
        return _by_folder(typed, results)
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


def _by_folder(typed: str, results: Path) -> Path:
    """The folder of that name. Raises CannotStart where other runs have an id that begins so."""
    others = (
        [each for each in _known(results) if _is_id(typed, each) and each.folder != typed] if _may_be(typed) else []
    )
    if others:
        raise CannotStart(
            f"{results / typed} is a folder, and the id of {_candidates(others)} begins so.",
            f"Name a folder: {results / typed} or {results / others[0].folder}",
        )
    return results / typed


def _latest(known: list[Name], results: Path) -> str:
    if not known:
        raise CannotStart(f"{results} holds no run.", "Name another folder with --results, or validate first.")
    last = known[-1]
    if last.started[:10] > f"{datetime.now(UTC) + AHEAD:%Y-%m-%d}":  # it would be the latest for ever
        raise CannotStart(
            f"The latest run in {results} is {last.folder}, which began in the future: {last.started[:10]}.",
            "Name a run by its id or folder, or move that one away.",
        )
    return last.folder


def _may_be(typed: str) -> bool:
    return ID.fullmatch(typed) is not None


def _is_id(typed: str, run: Name) -> bool:
    return _may_be(typed) and run.id.startswith(typed.lower())


def _by_id(typed: str, known: list[Name], results: Path) -> str:
    """The folder of the one run whose id begins so. Raises CannotStart."""
    named = f"{untrusted.shown(typed)[:60]!r}"
    found = [each for each in known if _is_id(typed, each)]
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
    if re.fullmatch(rf"[0-9a-f]{{1,{LEAST_CHARS - 1}}}", typed, re.IGNORECASE):
        hint = f"an id needs {LEAST_CHARS} digits; {hint}"
    hint += "" if hint.endswith("?") else "."
    raise CannotStart(
        f"There is no {named}, and no run in {results} is called so; {hint}", "`dgxcert history` lists all."
    )


def _candidates(found: Iterable[Name]) -> str:
    """`3f2a91c0 (2026-11-30T06-11-43Z-laptop), …`."""
    each = [f"{run.id} ({run.folder})" for run in found]
    more = f" and {len(each) - SHOWN} more" if len(each) > SHOWN else ""
    return f"{', '.join(each[:SHOWN])}{more}"
