"""The cost of sampling a GPU during a workload: `make bench-sampler`. Without a GPU it uses a simulated driver.

Prints a Markdown table for docs/performance.md; --write puts it there.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

import performance_page

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 10.0


def main() -> None:
    """Sample for ten seconds and print the share of one core that it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--real", action="store_true", help="ask the driver of this machine instead of a simulated one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dgxcert-bench-") as folder:
        if not options.real:
            _simulate(Path(folder))
        from dgxcert.probes.gpu.sampler import HERTZ, sampling

        with sampling(0) as samples:
            time.sleep(SECONDS)
        found = samples()
    rate = len(found.readings) / found.elapsed_s
    driver = "this machine's driver" if options.real else "a simulated driver, which reads a file for each answer"
    rows = [
        (f"samples per second, {HERTZ:.0f} asked for", f"{rate:.2f}", "10, or 9 where the machine is busy"),
        ("processor time, its start included", f"{found.cpu_share:.2%} of a core", "under 2 %"),
    ]
    performance_page.show("bench-sampler", rows, f"{len(found.readings)} samples of {driver}", keep=options.write)


def _simulate(folder: Path) -> None:
    """Let the processes started from here see a simulated Spark."""
    sys.path.insert(0, str(ROOT / "tests"))
    machine = importlib.import_module("simulated.machine")
    os.environ.update(machine.load("spark-idle").played(folder, machine.build(folder)))


if __name__ == "__main__":
    main()
