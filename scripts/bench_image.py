"""The cost of the container: building, rebuilding, starting, and its size: `make bench-image BASE_IMAGE=...`.

Works on a copy of the checkout, under an image name of its own. Prints a Markdown table for docs/performance.md;
--write puts it there.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import performance_page

from dgxcert.container import builder, engine

ROOT = Path(__file__).resolve().parents[1]
NAME = "dgxcert-bench:image"
MB = 1_000_000
RUN_A_COPY = "from dgxcert.cli import main; main()"


def copy_of_checkout(folder: Path) -> Path:
    """A copy of the files that git knows, as they are now."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().splitlines()):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def dgxcert(checkout: Path, *args: str) -> float:
    """Run the command from a copy of the checkout; returns seconds, exits where it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", RUN_A_COPY, *args],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"dgxcert {' '.join(args)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began


def first_check_s(checkout: Path, base: str, results: Path) -> tuple[float, float]:
    """Seconds from the start of the command to the first check of the host, and to the first in the container."""
    began = time.time()
    where = ["--runtime", "docker", "--image", NAME, "--base", base, "--no-build", "--profile", "cpu"]
    dgxcert(checkout, "validate", *where, "--only", "DOCKER-REACHABLE,host,STACK-IMPORT", "--results", str(results))
    record = next(results.glob("*/records.jsonl"))
    events = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    started = [event for event in events if event["event"] == "started"]
    host = datetime.fromisoformat(started[0]["at"]).timestamp()
    inside = datetime.fromisoformat(next(event["at"] for event in started if event["stage"] == "container")).timestamp()
    return host - began, inside - began


def measure(base: str) -> list[tuple[str, str, str]]:
    """Rows of the table: what, measured, wanted."""
    with tempfile.TemporaryDirectory(prefix="dgxcert-bench-") as folder:
        checkout = copy_of_checkout(Path(folder, "checkout"))
        build = ["image", "--name", NAME, "--base", base]
        with (checkout / "container" / "stacks" / "course.lock").open("a", encoding="utf-8") as lock:
            lock.write(f"# measured at {time.time()}\n")  # no layer of an earlier build fits
        cold_s = dgxcert(checkout, *build)
        with (checkout / "src" / "dgxcert" / "units.py").open("a", encoding="utf-8") as source:
            source.write("\n# changed\n")
        warm_s = dgxcert(checkout, *build)
        host_s, inside_s = first_check_s(checkout, base, Path(folder, "results"))
    made, below = builder.find(NAME), builder.find(base)
    if made is None or below is None:
        sys.exit(f"{NAME} or {base} is gone")
    engine.run("image", "rm", NAME)
    return [
        ("build, installing the stack again", f"{cold_s:.0f} s", "for comparison"),
        ("build, after a change in src/", f"{warm_s:.1f} s", "under 20 s"),
        ("image as it is: start to first check", f"{host_s:.1f} s", "under 5 s"),
        ("image as it is: start to first check inside", f"{inside_s:.1f} s", "for comparison"),
        ("added to the base", f"{(made.size_bytes - below.size_bytes) / MB:.0f} MB", "at most 2500 MB"),
    ]


def main() -> None:
    """Measure, print, and with --write keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="the base image")
    parser.add_argument("--write", action="store_true", help="keep the table in docs/performance.md")
    options = parser.parse_args()
    version = engine.run("version", "--format", "{{.Server.Version}}").stdout.strip()
    about = f"Docker Engine {version}, base {options.base}"
    performance_page.show("bench-image", measure(options.base), about, keep=options.write)


if __name__ == "__main__":
    main()
