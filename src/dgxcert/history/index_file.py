"""The file of the run index: a cache, read and written as a whole, so that SQLite itself never opens what lies there.

The bytes of a regular file with our application id are read into memory, where SQLite looks at them without any right
to write. A file that is not ours stays as it is; ours is replaced in one step, so that two writers at once do no harm
and no journal beside it is ever used. What does not fit is dropped, and read again from the runs themselves.
"""

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dgxcert.files import untrusted
from dgxcert.files.atomic import write_bytes
from dgxcert.files.untrusted import MIB
from dgxcert.outcome import CannotStart

APPLICATION_ID = 0x64677863
"""`dgxc`, at offset 68 of the file (SQLite, "Database File Format", 1.3.17)."""
VERSION = 6
"""The version of the rows: an index of another version is written again."""
TABLE = (
    "CREATE TABLE run (folder TEXT PRIMARY KEY, stamp TEXT NOT NULL, sha256 TEXT NOT NULL, profile TEXT NOT NULL, "
    "line TEXT NOT NULL, trouble TEXT NOT NULL, seal TEXT NOT NULL) WITHOUT ROWID"
)
BEFORE = b"CREATE TABLE run (folder TEXT PRIMARY KEY, stamp TEXT NOT NULL, line TEXT, trouble TEXT NOT NULL)"
"""The only table of an index up to version 3, which had no application id."""
MAGIC = b"SQLite format 3\0"
HEADER, PAGE = 100, 4096
AT_MOST = 256 * MIB
"""The largest index: 50,000 runs with 100 benchmarks each."""
LONGEST_ROW = MIB
MOST_S = 20.0
"""How long SQLite may look at an index; 10,000 rows take 0.1 s."""


class Row(NamedTuple):
    """What is known of a run.json: its line in the history as JSON, or why it has none."""

    folder: str
    stamp: str
    """Inode, its last change, and size: those of a copy differ, so that no index is believed that came with one."""
    sha256: str
    """Of the run.json that all else was read from; "" where that could not be read."""
    profile: str
    line: str
    trouble: str

    @property
    def seal(self) -> str:
        """SHA-256 of the row: a row that was damaged or edited does not count."""
        return hashlib.sha256("\0".join((str(VERSION), *self)).encode()).hexdigest()


def read(path: Path) -> tuple[dict[str, Row], str]:
    """The rows of an index by folder, and why the file must stay as it is: "" where it may be replaced."""
    if reason := _not_ours(path):
        return {}, reason
    try:
        content = untrusted.read_bytes(path, AT_MOST)
        return _rows(content) if content else {}, ""
    except (OSError, sqlite3.Error, UnicodeError):  # missing, damaged, or made to harm: it is only a cache
        return {}, ""


def write(path: Path, rows: Iterable[Row]) -> None:
    """Replace an index, if the file is still ours. Without room or permission there is none, which only costs time."""
    if _not_ours(path):
        return
    with contextlib.closing(sqlite3.connect(":memory:")) as index:
        index.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        index.execute(f"PRAGMA user_version = {VERSION}")
        index.execute(TABLE)
        with index:
            index.executemany("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", ((*row, row.seal) for row in rows))
        content = index.serialize()
    if len(content) <= AT_MOST:
        with contextlib.suppress(CannotStart, OSError):
            write_bytes(path, content)


def _not_ours(path: Path) -> str:
    """Why a file is no index of ours, or "". A missing file, and an empty one, is nobody's."""
    try:
        first = untrusted.read_head(path, PAGE)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    if not first:
        return ""
    if len(first) < HEADER or not first.startswith(MAGIC):
        return "it is not a database"
    application, version = first[68:72], first[60:64]
    if int.from_bytes(application, "big") == APPLICATION_ID:
        return ""
    earlier = not any(application) and 0 < int.from_bytes(version, "big") < VERSION
    if earlier and BEFORE in first and first.count(b"CREATE ") == 1:
        return ""
    return "it is a database of another program"


def _rows(content: bytes) -> dict[str, Row]:
    """The rows in the bytes of an index that hold their own seal. Raises sqlite3.Error where it is none of ours."""
    with contextlib.closing(sqlite3.connect(":memory:")) as index:
        index.deserialize(content)
        for limit, most in (
            (sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_ROW),
            (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        ):
            index.setlimit(limit, most)
        until = time.monotonic() + MOST_S
        index.set_progress_handler(lambda: time.monotonic() > until, 100_000)
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
            index.execute(f"PRAGMA {setting}")
        schema = index.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
        version = index.execute("PRAGMA user_version").fetchone()
        if schema != [("table", "run", TABLE)] or version != (VERSION,):  # a view or trigger would be run code
            raise sqlite3.DatabaseError("another schema")
        if index.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
            raise sqlite3.DatabaseError("damaged")
        found = index.execute("SELECT folder, stamp, sha256, profile, line, trouble, seal FROM run")
        return {row.folder: row for *fields, seal in found if (row := _row(fields)) is not None and row.seal == seal}


def _row(fields: list[object]) -> Row | None:
    texts = [field for field in fields if isinstance(field, str)]
    return Row(*texts) if len(texts) == len(Row._fields) else None
