"""The index of a results folder: mutated, edited, exchanged for something else, used by several at once."""

import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from attacks.attack import Attack, Harm, Try
from attacks.odd_files import ODD, called, removed
from suites import timed_run

from dgxcert.history import index_file, run_index

RUNS = 3
MADE_TO_HARM = (
    "UPDATE run SET line = replace(line, 'REHEARSED', 'CERTIFIED')",
    "UPDATE run SET line = '{}'",
    "UPDATE run SET line = x'00ff', seal = 1",
    "UPDATE run SET folder = '../../etc'",
    "UPDATE run SET trouble = char(27) || '[2J', line = ''",
    "UPDATE run SET sha256 = '', stamp = ''",
    "INSERT INTO run SELECT folder || '-more', stamp, sha256, profile, line, trouble, seal FROM run",
    "INSERT INTO run SELECT folder || '-big', stamp, sha256, profile, zeroblob(900000), trouble, seal FROM run",
    "DELETE FROM run",
    "DROP TABLE run",
    "ALTER TABLE run RENAME TO other",
    "ALTER TABLE run ADD COLUMN more",
    "CREATE VIEW other AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT * FROM n",
    "CREATE TRIGGER t BEFORE DELETE ON run BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM run; END",
    "CREATE INDEX i ON run (abs(random()))",
    "PRAGMA user_version = 3",
    "PRAGMA user_version = 99",
    "PRAGMA journal_mode = WAL",
    "PRAGMA page_size = 65536",
    "PRAGMA encoding = 'UTF-16'",
)


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Bytes, then statements, then other files, then several at once."""
    chance = random.Random(seed)
    results = folder / "results"
    for number in range(RUNS):
        timed_run.write(results / f"2026-11-23T18-40-1{number}Z-spark-07", uuid=f"GPU-{number}")
    truth = run_index.read(results)
    fresh = (results / run_index.NAME).read_bytes()
    yield from bytes_changed(results, truth, fresh, chance, count=40 if quick else 1200)
    yield from statements(results, truth, fresh)
    beside = list(ODD) if not quick else chance.sample(list(ODD), 4)
    yield from other_files(folder, results, truth, fresh, beside)
    yield from runs_changed(folder, results, chance, count=10 if quick else 150)
    if not quick:
        yield from at_once(results, truth)


def judged_read(name: str, results: Path, truth: run_index.Known, *, left_alone: bool = False) -> Try:
    """Read a results folder; the answer must be the truth, and only an index that is not ours may be named."""
    one, answer = called(name, lambda: run_index.read(results))
    if one.harm is not None or not isinstance(answer, run_index.Known):
        return one
    if answer.runs != truth.runs:
        return Try(name, Harm.WRONG, f"{answer.runs}")
    named = run_index.NAME in answer.unreadable
    if left_alone and not named:
        return Try(name, Harm.WRONG, "it was not named")
    return one


def bytes_changed(
    results: Path, truth: run_index.Known, fresh: bytes, chance: random.Random, count: int
) -> Iterator[Try]:
    """Flipped, cut, repeated and moved bytes."""
    path = results / run_index.NAME
    for number in range(count):
        changed = bytearray(fresh)
        for _ in range(chance.choice((1, 1, 4, 200))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        kind = number % 4
        if kind == 1:
            changed = changed[: chance.randrange(len(changed))]
        elif kind == 2:
            at, to = chance.randrange(len(changed)), chance.randrange(len(changed))
            changed[to : to + 512] = changed[at : at + 512]
        elif kind == 3:
            changed[100:140] = bytes(chance.randrange(256) for _ in range(40))  # the header of the first page
        path.write_bytes(changed)
        one = judged_read(f"bytes changed, {number}", results, truth)
        yield one
        removed(path)


def statements(results: Path, truth: run_index.Known, fresh: bytes) -> Iterator[Try]:
    """What SQL can do to an index, new seals included."""
    path = results / run_index.NAME
    for statement in MADE_TO_HARM:
        path.write_bytes(fresh)
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(path, isolation_level=None)) as index,
        ):
            index.execute(statement)
            index.execute("VACUUM")
        yield judged_read(statement, results, truth)
    for name, change in {
        "a sealed line that is none": {"line": "{}"},
        "a sealed line of huge numbers": {"line": '{"rates": {"X": 1e400}}'},
        "a sealed line with trouble too": {"trouble": "\x1b[2J"},
        "a sealed row of another file": {"stamp": "1 2 3"},
        "a sealed row of other bytes": {"sha256": "0" * 64},
    }.items():
        path.write_bytes(fresh)
        rows, _ = index_file.read(path)
        index_file.write(path, [row._replace(**change) for row in rows.values()])
        yield judged_read(name, results, truth)
    path.write_bytes(fresh)
    removed(path)


def other_files(folder: Path, results: Path, truth: run_index.Known, fresh: bytes, some: list[str]) -> Iterator[Try]:
    """Something else in place of the index, or of the files that SQLite would keep beside it."""
    path, victim = results / run_index.NAME, folder / "victim"
    makers: dict[str, Callable[[Path], object]] = dict(ODD)
    makers |= {
        "another program's database": database,
        "a link to an index": lambda place: place.symlink_to(victim),
        "a hard link to another program's database": lambda place: os.link(folder / "theirs", place),
    }
    database(folder / "theirs")
    for what, make in makers.items():
        victim.write_bytes(fresh)
        removed(path)
        make(path)
        before = path.lstat()
        alone = what not in {"empty"}
        one = judged_read(f"the index is {what}", results, truth, left_alone=alone)
        after = path.lstat()
        if one.harm is None and alone and (before.st_ino, before.st_mtime_ns) != (after.st_ino, after.st_mtime_ns):
            one = Try(one.name, Harm.ESCAPE, "it was written")
        if victim.read_bytes() != fresh or (folder / "nothing").exists() or (results / "nothing").exists():
            one = Try(one.name, Harm.ESCAPE, "a link was followed")
        yield one
    for suffix in ("-journal", "-wal", "-shm"):
        for what, make in ((each, ODD[each]) for each in some):
            removed(path)
            run_index.read(results)
            beside = path.with_name(path.name + suffix)
            make(beside)
            before = beside.lstat()
            one = judged_read(f"{suffix} is {what}", results, truth)
            if one.harm is None and before.st_mtime_ns != beside.lstat().st_mtime_ns:
                one = Try(one.name, Harm.ESCAPE, "it was written")
            yield one
            removed(beside)
    removed(path)


def database(path: Path) -> None:
    """A database of another program, with a table and a version like those of an early index."""
    with contextlib.closing(sqlite3.connect(path)) as index, index:
        index.execute("CREATE TABLE run (folder TEXT PRIMARY KEY, stamp TEXT NOT NULL, line TEXT, trouble TEXT)")
        index.executemany("INSERT INTO run VALUES (?, 'a', 'b', 'c')", ((str(number),) for number in range(1000)))
        index.execute("CREATE TABLE precious (a)")
        index.execute("PRAGMA user_version = 3")


def runs_changed(folder: Path, results: Path, chance: random.Random, count: int) -> Iterator[Try]:
    """A run.json that changes behind the index, with its size and times kept."""
    paths = sorted(results.glob("*/run.json"))
    for number in range(count):
        run_index.read(results)
        path = chance.choice(paths)
        before, text = path.stat(), path.read_text()
        verdicts = ("REHEARSED", "CERTIFIED", "REJECTED ")
        old = next(each for each in verdicts if f'"{each.strip()}"' in text)
        new = chance.choice([each for each in verdicts[:2] if each != old])
        temporary = folder / "changed"
        temporary.write_text(text.replace(f'"{old.strip()}"', f'"{new}"'))
        if chance.random() < 0.5:
            shutil.copyfile(temporary, path)
        else:
            os.replace(temporary, path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        one, answer = called(f"run.json changed, {number}", lambda: run_index.read(results))
        shown = {run.name: run.verdict for run in answer.runs} if isinstance(answer, run_index.Known) else {}
        if one.harm is None and shown.get(path.parent.name) != new:
            one = Try(one.name, Harm.WRONG, f"{shown}, not {new}")
        yield one
        path.write_text(text)


def at_once(results: Path, truth: run_index.Known) -> Iterator[Try]:
    """Several processes read while the index vanishes and is damaged."""
    path = results / run_index.NAME
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        waited = [pool.submit(several, str(results)) for _ in range(3)]
        chance = random.Random(1)
        while not all(each.done() for each in waited):
            with contextlib.suppress(OSError):
                path.unlink() if chance.random() < 0.5 else os.truncate(path, 5000)
        for number, each in enumerate(waited):
            wrong = [runs for runs in each.result() if runs != truth.runs]
            yield Try(f"process {number} of 3", Harm.WRONG if wrong else None, str(wrong[:1]))


def several(results: str) -> list[object]:
    """Read a results folder many times."""
    return [run_index.read(Path(results)).runs for _ in range(40)]


ATTACK = Attack("index", "mutated, edited, exchanged and concurrent indexes; run.json files changed behind one", tries)
