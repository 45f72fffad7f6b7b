"""The time to draw a very large report and to list thousands of runs: `make bench-report`."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import performance_page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from suites.certified import load, past, run, speed  # noqa: E402 (the folder has just been named)
from suites.example import finished, opened, planned  # noqa: E402

from dgxcert.history import run_index  # noqa: E402
from dgxcert.record import run as runs  # noqa: E402
from dgxcert.record.run import Run  # noqa: E402

RECORDS, HOURS, RUNS = 10_000, 2, 2000


def very_much() -> Run:
    """A run of RECORDS requirements, 90 of them benchmarks of 200 rounds, with two hours of samples."""
    keys = [f"CHECK-{number}" for number in range(RECORDS)]
    endings = [
        finished(
            key,
            evidence=(speed(key, 14.0, rounds=200),) if number < 90 else (speed(key, 14.0, rounds=0),),
            traces=(load(HOURS * 3600),) if number == 0 else (),
        )
        for number, key in enumerate(keys)
    ]
    return runs.assemble([opened(*(planned(key) for key in keys), earlier=past(60)), *endings], "run")


def measured(*command: str) -> tuple[float, float]:
    """Seconds of a command, and its highest resident memory in MiB."""
    program = (
        "import resource, subprocess, sys, time; began = time.monotonic(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=True)
    seconds, kib = done.stdout.split()
    return float(seconds), float(kib) / 1024


def report(place: Path) -> list[tuple[str, str, str]]:
    """Drawing one very large report."""
    folder = place / "large"
    folder.mkdir()
    (folder / runs.NAME).write_text(very_much().model_dump_json(), encoding="utf-8")
    seconds, mib = measured(sys.executable, "-m", "dgxcert", "report", str(folder))
    size = (folder / "report.html").stat().st_size
    return [
        (f"report of {RECORDS:,} requirements and {HOURS} h of samples", f"{seconds:.1f} s", "under 10 s"),
        ("the same, highest memory", f"{mib:.0f} MiB", "under 500 MB (477 MiB)"),
        ("the same, size of report.html", f"{size / 1e6:.2f} MB", "under 1.5 MB"),
    ]


def histories(place: Path) -> list[tuple[str, str, str]]:
    """Listing thousands of runs, each as large as one of a GPU machine."""
    results = place / "results"
    padding = tuple(finished(f"CHECK-{number}", evidence=(speed("decode", 14.0, rounds=100),)) for number in range(80))
    one = run()
    results_of = runs.assemble([opened(*(planned(each.key) for each in padding)), *padding], "run").results
    text = one.model_copy(update={"results": (*one.results, *results_of)}).model_dump_json(indent=1)
    for number in range(RUNS):
        folder = results / f"run-{number:05}"
        folder.mkdir(parents=True)
        (folder / runs.NAME).write_text(text.replace("2026-11-23T18-40-12Z-spark-07", folder.name), encoding="utf-8")
    listing = [sys.executable, "-m", "dgxcert", "history", "--results", str(results)]
    built, _ = measured(*listing)
    listed, _ = measured(*listing)
    (results / run_index.NAME).unlink()
    began = time.monotonic()
    run_index.read(results)
    rebuilt = time.monotonic() - began
    return [
        (f"{RUNS:,} runs of {len(text) / 1e3:.0f} kB listed, index at hand", f"{listed:.2f} s", "under 2 s"),
        ("the same, rebuilding the index, as a command", f"{built:.1f} s", "under 20 s"),
        ("the same, index alone", f"{rebuilt:.1f} s", "for comparison"),
    ]


def main() -> None:
    """Measure, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the table in docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dgxcert-bench-") as place:
        rows = report(Path(place)) + histories(Path(place))
    performance_page.show("bench-report", rows, "made-up runs", keep=options.write)


if __name__ == "__main__":
    main()
