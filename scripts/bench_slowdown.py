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
from typing import Any

import performance_page

from dgxcert.history.comparison import Change, compare
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.record import timings
from dgxcert.record.timings import Timing

ROOT = Path(__file__).resolve().parents[1]
SLOWER = 0.05
FILES = ("benchmarks/test_matmul.py", "benchmarks/test_memory_bandwidth.py", "benchmarks/test_decode.py")

Run = dict[str, Timing]


def wanted(profile: Profile) -> str:
    """The main benchmarks of a profile, as pytest's -k takes them."""
    precision = "bf16" if profile.uses_gpu else "fp32"
    decode = f"{precision}-tuned-single or int4-tuned-single"
    return f"(matmul and {precision}) or (bandwidth and read and not cold) or {decode}"


def benchmarks(profile: Profile, slower: float, which: str = "") -> dict[str, Any]:
    """What pytest-benchmark keeps of the benchmarks of one process, whose rounds are reported longer by this share.

    `which` are those that pytest's -k selects; the main ones without it.
    """
    with tempfile.TemporaryDirectory(prefix="dgxcert-slowdown-") as folder:
        path = Path(folder) / "benchmark.json"
        asked = [*FILES, "--profile", profile.name, "-q", "-k", which or wanted(profile), f"--benchmark-json={path}"]
        environment = {**os.environ, "DGXCERT_SLOWER": str(slower), "PYTHONPATH": str(ROOT / "scripts")}
        command = [sys.executable, "-m", "pytest", *asked, "-p", "slow_clock"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if not path.is_file():
            sys.exit(f"the benchmarks ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        kept = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return {
        "benchmarks": [{"extra_info": each["extra_info"], "stats": {"data": each["stats"]["data"]}} for each in kept]
    }


def measure(profile: Profile, slower: float) -> Run:
    """The timings of one process, by requirement."""
    return timings.parse(benchmarks(profile, slower))


def rows(reference: list[Run], pairs: list[tuple[Run, Run]]) -> list[tuple[str, str, str]]:
    """Rows of the table: what, measured, wanted. Each pair is a slowed and an unchanged run, which took turns."""
    found = []
    for name in sorted(reference[0]):
        flagged, alarms = (sum(_slower(reference, pair[side], name) for pair in pairs) for side in (0, 1))
        found.append((f"{name}: {SLOWER:.0%} slower, flagged", f"{flagged} of {len(pairs)}", "at least 19 of 20"))
        found.append((f"{name}: unchanged, flagged", f"{alarms} of {len(pairs)}", "at most 1 of 20"))
    return [*found, *scatter([*reference, *(pair[1] for pair in pairs)])]


def scatter(runs: list[Run]) -> list[tuple[str, str, str]]:
    """Rows of the table: how far apart the medians of unchanged runs are."""
    found = []
    for name in sorted(runs[0]):
        medians = [run[name].per_unit_s for run in runs if name in run]
        apart = (max(medians) - min(medians)) / statistics.median(medians)
        found.append((f"{name}: medians of {len(medians)} unchanged runs, end to end", f"{apart:.1%}", "within 1 %"))
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
    profile = profiles.load(options.profile)
    reference = [measure(profile, 0.0) for _ in range(options.kept)]
    pairs = [(measure(profile, SLOWER), measure(profile, 0.0)) for _ in range(options.tries)]
    performance_page.show("bench-slowdown", rows(reference, pairs), about, keep=options.write)


if __name__ == "__main__":
    main()
