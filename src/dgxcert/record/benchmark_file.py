"""Benchmarks on disk: each is appended as it ends, so that a crash loses none; joined into pytest-benchmark's own file.

A process has a file of its own in `inside/`, of one JSON document a line: first what it is about (machine, commit),
then each benchmark. `pytest-benchmark compare` reads the joined file. Up to record format 5 such a file was one
document, in `logs/`.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dgxcert.files import untrusted
from dgxcert.files.atomic import EVIDENCE, write_text
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.files.untrusted import MIB
from dgxcert.redaction import scrubber

NAME = "benchmark.json"
FOLDERS = ("inside", "logs")
LANE = re.compile(r"gpu\d{1,4}")
"""A folder in `inside/`, of the children that measured one of several GPUs at the same time."""
PART = re.compile(r"benchmark-\d{1,9}\.json")
AT_MOST = 64 * MIB
"""All that is read of one run's benchmarks: 400 benchmarks of 1,000 rounds make 10 MiB."""


class BenchmarkFile:
    """Keeps the benchmarks of one process on disk while it runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = 0
        self._begun = False

    def keep(self, config: Any) -> None:
        """Append the benchmarks that this process has timed since the last call, and wait until they are on the disk.

        Raises CannotWrite where they cannot be written.
        """
        session = getattr(config, "_benchmarksession", None)
        if session is None:
            return
        fresh = [bench for bench in session.benchmarks[self._kept :] if bench]
        self._kept = len(session.benchmarks)
        if not fresh:
            return
        about = {} if self._begun else self._about(config, session)
        content = config.hook.pytest_benchmark_generate_json(
            config=config, benchmarks=fresh, include_data=True, machine_info={}, commit_info={}
        )
        lines = [] if self._begun else [{**content, **about, "benchmarks": []}]
        self._append([*lines, *content["benchmarks"]])
        self._begun = True

    def _about(self, config: Any, session: Any) -> dict[str, Any]:
        commit = config.hook.pytest_benchmark_generate_commit_info(config=config)
        return {"machine_info": session.get_machine_info(), "commit_info": commit}

    def _append(self, documents: Iterable[dict[str, Any]]) -> None:
        text = "".join(json.dumps(document, default=str) + "\n" for document in documents)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(self._path, flags, EVIDENCE), "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CannotWrite(self._path, error) from error


def merge(folder: Path) -> tuple[str, ...]:
    """Join the files of a run's processes, oldest first, into `benchmark.json`; returns a sentence about each damaged.

    Without any benchmark there is no such file. Raises CannotWrite where it cannot be written.
    """
    about: dict[str, Any] = {}
    benchmarks: list[dict[str, Any]] = []
    damaged = []
    left = AT_MOST
    for name in _parts(folder):
        try:
            content = untrusted.read_bytes(folder / name, left, below=folder)
        except OSError as error:
            damaged.append(_damaged(name, error.strerror or str(error)))
            continue
        left -= len(content)
        first, timed, problem = _part(content)
        if problem:
            damaged.append(_damaged(name, problem))
        about = first or about
        benchmarks += timed
    if about or benchmarks:
        text = json.dumps({**about, "benchmarks": _last_of_each(benchmarks)}, indent=1)
        write_text(folder / NAME, scrubber.json_text(text))
    return tuple(damaged)


def _damaged(name: str, problem: str) -> str:
    return f"{name} is damaged, so that {NAME} lacks benchmarks of it: {problem}"


def _parts(folder: Path) -> list[str]:
    """The files of a run's processes, oldest first, by their path in the run folder."""
    found = []
    for place in (*FOLDERS, *_of_lanes(folder)):
        with contextlib.suppress(OSError):  # a run that measured nothing yet
            found += [f"{place}/{name}" for name in os.listdir(folder / place) if PART.fullmatch(name)]
    return sorted(found, key=lambda path: path.rpartition("/")[2])


def _part(content: bytes) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """What a file is about, its benchmarks, and what of it cannot be read, or "".

    A last line without its end is one that a crash cut short.
    """
    about: dict[str, Any] = {}
    timed: list[dict[str, Any]] = []
    problem = ""
    for number, document in enumerate(_documents(content), start=1):
        if isinstance(document, str):
            problem = problem or f"line {number}: {document}"
        elif "benchmarks" in document:
            about = about or document
            problem = problem or ("" if _is_list(document["benchmarks"]) else "its benchmarks are no list of objects")
            timed += document["benchmarks"] if _is_list(document["benchmarks"]) else []
        else:
            timed.append(document)
    return about, timed, problem


def _documents(content: bytes) -> Iterator[dict[str, Any] | str]:
    """Each document of a file, or why it cannot be read."""
    *lines, rest = content.split(b"\n")
    if not lines or not lines[0].endswith(b"}"):  # one document, over many lines up to format 5
        yield _document(content)
        return
    yield from (_document(line) for line in lines)
    if isinstance(last := _document(rest), dict):
        yield last


def _document(text: bytes) -> dict[str, Any] | str:
    try:
        document = untrusted.parse_json(text)
    except ValueError as error:
        return str(error)
    return document if isinstance(document, dict) else "it is no object"


def _is_list(benchmarks: object) -> bool:
    return isinstance(benchmarks, list) and all(isinstance(each, dict) for each in benchmarks)


def _last_of_each(benchmarks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last timing of each requirement, which is that of the attempt that counts, and all that belong to none."""
    last = {_requirement(bench): at for at, bench in enumerate(benchmarks)}
    return [
        bench for at, bench in enumerate(benchmarks) if _requirement(bench) is None or last[_requirement(bench)] == at
    ]


def _requirement(benchmark: dict[str, Any]) -> str | None:
    info = benchmark.get("extra_info")
    name = info.get("requirement") if isinstance(info, dict) else None
    return name if isinstance(name, str) else None


def _of_lanes(folder: Path) -> list[str]:
    inside = FOLDERS[0]
    try:
        return [f"{inside}/{name}" for name in sorted(os.listdir(folder / inside)) if LANE.fullmatch(name)]
    except OSError:
        return []
