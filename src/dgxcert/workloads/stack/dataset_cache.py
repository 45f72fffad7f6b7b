"""Data set cache: `datasets` maps rows in more than one process, and a second time takes them from its cache."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgxcert.workloads import fresh_process

ROWS, PROCESSES = 400, 2


@dataclass(frozen=True)
class Mapped:
    """What two equal maps did."""

    processes: int
    """That called the function, the one that asked for the map left out."""
    wrong: int
    """Rows that came out otherwise than they must."""
    calls: int
    """Of the function, in the first map."""
    calls_again: int
    """In the second: its cache is there so that there are none."""
    same_fingerprint: bool


def run() -> Mapped:
    """Map in a fresh process; raises what `fresh_process.run` raises."""
    return Mapped(**fresh_process.run("stack.dataset_cache"))


def work(folder: Path) -> dict[str, Any]:
    """Map a data set on disk twice, by a function that notes each of its calls."""
    import datasets

    datasets.disable_progress_bars()
    datasets.Dataset.from_dict({"number": list(range(ROWS))}).save_to_disk(str(folder / "rows"))
    rows = datasets.load_from_disk(str(folder / "rows"))
    calls = folder / "calls"

    def square(row: dict[str, int]) -> dict[str, int]:
        with calls.open("a", encoding="ascii") as notes:
            notes.write(f"{os.getpid()}\n")
        return {"square": row["number"] ** 2}

    first = rows.map(square, num_proc=PROCESSES)
    pids = calls.read_text(encoding="ascii").split()
    second = rows.map(square, num_proc=PROCESSES)
    again = calls.read_text(encoding="ascii").split()
    return {
        "processes": len(set(pids) - {str(os.getpid())}),
        "wrong": sum(each["square"] != number**2 for number, each in enumerate(second)) + abs(len(first) - ROWS),
        "calls": len(pids),
        "calls_again": len(again) - len(pids),
        "same_fingerprint": first._fingerprint == second._fingerprint,
    }


if __name__ == "__main__":
    json.dump(work(Path(sys.argv[1])), sys.stdout)
