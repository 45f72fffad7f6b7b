"""Data set cache: `datasets.map` in several processes, and once more, where its cache must answer."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgxcert.workloads import fresh_process

ROWS, PROCESSES = 400, 2


@dataclass(frozen=True)
class Maps:
    """Two equal maps of the same rows."""

    processes: int
    """Worker processes that called the function."""
    wrong: int
    """Rows whose result is wrong or missing."""
    calls: int
    """Calls of the function in the first map."""
    calls_again: int
    """Calls of the function in the second map, which the cache must make needless."""
    same_fingerprint: bool
    """Whether both results have the fingerprint that names them in the cache."""


def run() -> Maps:
    """Map twice in a fresh process with an empty cache; raises what `fresh_process.run` raises."""
    return Maps(**fresh_process.run("stack.dataset_cache"))


def work(folder: Path) -> dict[str, Any]:
    """Map a data set on disk twice, with a function that logs its calls; returns the fields of `Maps`."""
    import datasets

    datasets.disable_progress_bars()
    # On disk: the result of mapping rows in memory has no cache file, and so is computed again.
    datasets.Dataset.from_dict({"number": list(range(ROWS))}).save_to_disk(str(folder / "rows"))
    rows = datasets.load_from_disk(str(folder / "rows"))
    calls = folder / "calls"

    def square(row: dict[str, int]) -> dict[str, int]:
        with calls.open("a", encoding="ascii") as log:  # short appended lines of several processes do not mix
            log.write(f"{os.getpid()}\n")
        return {"square": row["number"] ** 2}

    first = rows.map(square, num_proc=PROCESSES)
    pids = calls.read_text(encoding="ascii").split()
    second = rows.map(square, num_proc=PROCESSES)
    all_pids = calls.read_text(encoding="ascii").split()
    return {
        "processes": len(set(pids) - {str(os.getpid())}),
        "wrong": sum(row["square"] != number**2 for number, row in enumerate(second)) + abs(len(first) - ROWS),
        "calls": len(pids),
        "calls_again": len(all_pids) - len(pids),
        "same_fingerprint": first._fingerprint == second._fingerprint,
    }


if __name__ == "__main__":
    json.dump(work(Path(sys.argv[1])), sys.stdout)
