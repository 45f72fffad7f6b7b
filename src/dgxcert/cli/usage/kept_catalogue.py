"""The catalogue as it was collected before, for commands that only print it: nothing that measures reads it from here.

Collecting takes a process and two thirds of a second. What is kept holds as long as every file of the suite, Python and
pytest are the same.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dgxcert.files import atomic, untrusted
from dgxcert.plan import catalogue, suite
from dgxcert.plan.catalogue import Entry

AT_MOST = 8 * 2**20
LIBRARIES = ("pytest", "pytest-benchmark", "pydantic")
"""What collects besides the suite's own code."""


def read(root: Path) -> list[Entry]:
    """Every requirement of the suite for a machine with one GPU. Raises what `suite.collect` raises."""
    state, path = _state(root), _path()
    kept = _kept(path)
    if kept.get("state") == state:
        return [Entry.model_validate(entry) for entry in kept["entries"]]
    collected = suite.collect(root, gpus=1)
    content = {"state": state, "entries": [entry.model_dump(mode="json") for entry in collected]}
    with contextlib.suppress(OSError):  # without a home it is collected each time
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, json.dumps(content))
    return collected


def _path() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given else Path.home() / ".cache") / "dgxcert" / "catalogue.json"


def _kept(path: Path) -> dict[str, Any]:
    """What was kept by this user; empty where that is nothing that can be read."""
    try:
        ours = path.lstat().st_uid == os.geteuid()
        content = untrusted.read_json(path, AT_MOST) if ours else None
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _state(root: Path) -> str:
    """A hash that changes with any file of the suite, with Python and with the libraries."""
    told = [sys.version, *(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)]
    folders = [Path(catalogue.__file__).parents[1], *(root / name for name in suite.FOLDERS)]
    told += sorted(line for folder in folders for line in _files(folder))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _files(folder: Path | str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _files(entry.path)
                continue
            status = entry.stat()
            yield f"{entry.path} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
