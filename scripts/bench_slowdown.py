"""Whether a slowdown of 5 % is detected, and how often an unchanged machine is flagged: `make bench-slowdown`.

Each try is a process of its own that runs a few of the suite's benchmarks, unchanged or with a timer that runs fast,
and is compared with runs of before, as `dgxcert compare` does it. What comes out is as true as this machine is quiet.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import performance_page

from dgxcert.history.comparison import Change, compare
from dgxcert.record import timings
from dgxcert.record.timings import Timing

ROOT = Path(__file__).resolve().parents[1]
SLOWER = 0.05
FILES = ("benchmarks/test_matmul.py", "benchmarks/test_memory_bandwidth.py", "benchmarks/test_decode.py")
WANTED = "(matmul and fp32) or (bandwidth and read and not cold) or fp32-tuned-single or int4-tuned-single"

Run = dict[str, Timing]


def measure(profile: str, slower: float) -> Run:
    """The benchmarks of one process, whose rounds are reported longer by this share."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-slowdown-") as folder:
        path = Path(folder) / "benchmark.json"
        asked = [*FILES, "--profile", profile, "-q", "-k", WANTED, f"--benchmark-json={path}", "-p", "slow_clock"]
        environment = {**os.environ, "DGXCERT_SLOWER": str(slower), "PYTHONPATH": str(ROOT / "scripts")}
        command = [sys.executable, "-m", "pytest", *asked]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if not path.is_file():
            sys.exit(f"the benchmarks ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return timings.parse(json.loads(path.read_text(encoding="utf-8")))


def rows(profile: str, kept: int, tries: int) -> list[tuple[str, str, str]]:
    """Rows of the table: what, measured, wanted. Unchanged and slowed runs take turns."""
    reference = [measure(profile, 0.0) for _ in range(kept)]
    pairs = [(measure(profile, SLOWER), measure(profile, 0.0)) for _ in range(tries)]
    found = []
    for name in sorted(reference[0]):
        flagged, alarms = (sum(_slower(reference, pair[side], name) for pair in pairs) for side in (0, 1))
        medians = [run[name].per_unit_s for run in (*reference, *(pair[1] for pair in pairs)) if name in run]
        spread = (max(medians) - min(medians)) / statistics.median(medians)
        found.append((f"{name}: {SLOWER:.0%} slower, flagged", f"{flagged} of {tries}", "at least 19 of 20"))
        found.append((f"{name}: unchanged, flagged", f"{alarms} of {tries}", "at most 1 of 20"))
        found.append((f"{name}: medians of {len(medians)} unchanged runs, end to end", f"{spread:.1%}", "within 1 %"))
    return found


def _slower(reference: list[Run], run: Run, name: str) -> bool:
    compared = compare(
        [{name: each[name]} for each in reference if name in each], {name: run[name]} if name in run else {}
    )
    return compared[0].change is Change.SLOWER


def main() -> None:
    """Measure, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--kept", type=int, default=5, help="runs that make the reference")
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="keep the table in docs/performance.md")
    options = parser.parse_args()
    about = f"profile {options.profile}, {options.kept} runs as reference"
    performance_page.show(
        "bench-slowdown", rows(options.profile, options.kept, options.tries), about, keep=options.write
    )


if __name__ == "__main__":
    main()
