"""The time to make the site page of thousands of runs: `make bench-site`."""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import performance_page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from suites import kept_runs  # noqa: E402 (the folder has just been named)

from dgxcert.record import run as runs  # noqa: E402
from dgxcert.record.run import Result, Run  # noqa: E402

RUNS, MACHINES = 2000, 40
KEPT = "2026-11-27-h200/second"
FIRST = datetime(2024, 1, 1, 6, tzinfo=UTC)
UPDATE_RUNS = 20
"""Runs of a machine between two updates of its driver."""


def made(kept: Run, number: int) -> Run:
    """A run of one of MACHINES invented machines, with the speeds of a kept one and a little chance."""
    chance = random.Random(number)  # noqa: S311 (the same runs each time, and nothing secret)
    machine, turn = number % MACHINES, number // MACHINES
    started = FIRST + timedelta(days=7 * turn, minutes=11 * machine)
    gpu = kept.machine.gpus[0].model_copy(update={"uuid": f"GPU-{machine:08x}"})
    about = kept.machine.model_copy(
        update={
            "hostname": f"dgx-{machine:02}",
            "gpus": (gpu,),
            "driver": f"580.{95 + turn // UPDATE_RUNS}.05",
            "boot_id": str(number),
        }
    )
    moment = started.isoformat().replace("+00:00", "Z")
    return kept.model_copy(
        update={
            "name": f"{started:%Y-%m-%dT%H-%M-%SZ}-{about.hostname}",
            "started": moment,
            "ended": moment,
            "machine": about,
            "results": tuple(_varied(result, chance.uniform(0.98, 1.02)) for result in kept.results),
        }
    )


def _varied(result: Result, factor: float) -> Result:
    """A result whose rates are a little higher or lower."""
    evidence = tuple(
        item.model_copy(update={"value": item.value * factor})
        if item.rounds_s and isinstance(item.value, float)
        else item
        for item in result.evidence
    )
    return result.model_copy(update={"evidence": evidence})


def fill(results: Path, count: int) -> Iterator[int]:
    """Write run folders with a run.json each, and give the size of each in bytes."""
    kept = kept_runs.load(KEPT)
    for number in range(count):
        run = made(kept, number)
        (results / run.name).mkdir(parents=True)
        yield (results / run.name / runs.NAME).write_text(run.model_dump_json(), encoding="utf-8")


def measured(*command: str) -> tuple[float, float, float]:
    """Seconds of a command, seconds of a processor that it took, and its highest resident memory in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    if status != 0:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def tables(place: Path) -> list[tuple[str, str, str]]:
    """Making the site of thousands of runs: for the first time, then again."""
    results, out = place / "results", place / "site"
    sizes = list(fill(results, RUNS))
    command = [sys.executable, "-m", "dgxcert", "site", str(results), "--out", str(out)]
    first, processor, mib = measured(*command)
    again, processor_again, _ = measured(*command)
    pages = [path.stat().st_size for path in out.glob("*.html")]
    kilobytes = sum(sizes) / len(sizes) / 1e3
    what = f"{RUNS:,} runs of {kilobytes:.0f} kB, {MACHINES} machines: {len(pages)} pages"
    return [
        (f"{what}, without an index", f"{first:.1f} s", "under 20 s"),
        ("the same, processor time", f"{processor:.1f} s", "under 20 s"),
        ("again, index at hand; processor time", f"{again:.1f} s; {processor_again:.1f} s", "for comparison"),
        ("highest memory", f"{mib:.0f} MiB", "for comparison"),
        ("largest page; all pages", f"{max(pages) / 1e3:.0f} kB; {sum(pages) / 1e6:.1f} MB", "for comparison"),
    ]


def main() -> None:
    """Measure, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the table in docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dgxcert-bench-") as place:
        rows = tables(Path(place))
    performance_page.show("bench-site", rows, "made-up runs", keep=options.write)


if __name__ == "__main__":
    main()
