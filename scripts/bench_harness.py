"""The overhead of dgxcert itself, as ratios measured in one run: `make bench-harness`.

Prints a Markdown table for docs/performance.md; --write puts it there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import performance_page

ROOT = Path(__file__).resolve().parents[1]
THREADS = "2"
MIB = 1024**2


@dataclass(frozen=True)
class Rehearsal:
    """One `dgxcert validate --profile cpu`: seconds in all, seconds of measured work, peak bytes of the supervisor."""

    wall_s: float
    measured_s: float
    peak_bytes: int
    run: dict[str, object]


def environment() -> dict[str, str]:
    """The same thread count for both sides of every comparison."""
    return {**os.environ, "OMP_NUM_THREADS": THREADS, "MKL_NUM_THREADS": THREADS, "COLUMNS": "120"}


def rehearse(*options: str) -> Rehearsal:
    """Run the suite as a user would, and sample the supervisor's memory from outside."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-bench-") as folder:
        command = [sys.executable, "-m", "dgxcert", "validate", "--profile", "cpu", "--results", folder, *options]
        began = time.monotonic()
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            peak = 0
            while process.poll() is None:
                peak = max(peak, _peak_bytes(process.pid))
                time.sleep(0.05)
            output = process.stdout.read() if process.stdout else b""
        wall_s = time.monotonic() - began
        if process.returncode != 0:
            sys.exit(f"the rehearsal ended with {process.returncode}:\n{output.decode()}")
        run = json.loads(next(Path(folder).glob("*/run.json")).read_text(encoding="utf-8"))
    measured_s = sum(result["duration_s"] or 0.0 for result in run["results"])
    return Rehearsal(wall_s, measured_s, peak, run)


def _peak_bytes(pid: int) -> int:
    """Highest resident size of one process so far, without its children."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024


def decode_of_suite(path: str) -> float:
    """Token/s that the suite reports for fp32 decode of one row on a path."""
    key = f"DECODE-SPEED[fp32-{path}-single]"
    results = rehearse("--only", key).run["results"]
    if not isinstance(results, list):
        raise TypeError("run.json holds no results")
    evidence = next(result["evidence"] for result in results if result["key"] == key)
    return float(next(item["value"] for item in evidence if item["name"] == "decode"))


def decode_bare(kind: str) -> float:
    """Token/s of a bare transformers program on the same model, in a process of its own."""
    program = ROOT / "scripts" / "bare_transformers.py"
    done = subprocess.run(
        [sys.executable, str(program), kind, "cpu"], env=environment(), capture_output=True, check=True
    )
    return float(done.stdout.split()[-2])


def decode_ratios(pairs: int) -> tuple[float, ...]:
    """Median token/s, interleaved so that a busy moment affects all: suite tuned and stock, bare loop, `generate`."""
    figures = [
        (decode_of_suite("tuned"), decode_bare("loop"), decode_of_suite("stock"), decode_bare("generate"))
        for _ in range(pairs)
    ]
    return tuple(statistics.median(column) for column in zip(*figures, strict=True))


def measure(pairs: int) -> list[tuple[str, str, str]]:
    """Rows of the table: what, measured, wanted."""
    tuned, loop, stock, generate = decode_ratios(pairs)
    rehearsal = rehearse()
    outside_s = rehearsal.wall_s - rehearsal.measured_s
    return [
        (
            f"decode: tuned / bare loop (medians of {pairs})",
            f"{tuned / loop:.3f} ({tuned:.0f} / {loop:.0f})",
            ">= 0.97",
        ),
        ("decode: stock / bare `generate`", f"{stock / generate:.3f} ({stock:.0f} / {generate:.0f})", ">= 0.97"),
        ("rehearsal, wall time", f"{rehearsal.wall_s:.1f} s", "under 240 s"),
        (
            "rehearsal, outside measured work",
            f"{outside_s:.1f} s ({outside_s / rehearsal.wall_s:.0%})",
            "at most 15 % or 10 s",
        ),
        ("supervisor, peak memory", f"{rehearsal.peak_bytes / MIB:.0f} MiB", "under 80 MB (76 MiB)"),
    ]


def main() -> None:
    """Measure, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the table in docs/performance.md")
    options = parser.parse_args()
    performance_page.show("bench-harness", measure(options.pairs), f"{THREADS} threads", keep=options.write)


if __name__ == "__main__":
    main()
