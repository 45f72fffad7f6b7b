"""Collectives beside nccl-tests, where it is installed: `make bench-peers` runs both on the same sizes.

Its programs (all_reduce_perf and others) are looked for in the folder that NCCL_TESTS names, then in PATH.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgxcert.judgement.benchmark_cases import COLLECTIVES
from dgxcert.profiles.profile import Profile

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENT = "COLLECTIVE-SPEED"
PROGRAMS = {operation: f"{operation.replace('all_to_all', 'alltoall')}_perf" for operation in COLLECTIVES}
LIMIT_S = 600
SIZE = re.compile(r"for (\d+) bytes$")
IN_PLACE = 4
"""Columns of what works in place, at the end of a row: time, algbw, busbw and wrong; those before are out of place."""


@dataclass(frozen=True)
class Row:
    """One size of nccl-tests' table, out of place and in place, in GB/s of bus bandwidth."""

    size_bytes: int
    out_of_place: float
    in_place: float


@dataclass(frozen=True)
class Ours:
    """What the suite measured of one operation."""

    size_bytes: int
    gbs: float


def parse(text: str) -> tuple[Row, ...]:
    """The rows of nccl-tests' table, also of versions that name no root.

    >>> parse("  1073741824  268435456  float  sum  -1  3108.8  345.38  681.17  0  2924.7  367.13  724.06  0")
    (Row(size_bytes=1073741824, out_of_place=681.17, in_place=724.06),)
    """
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 3 + 2 * IN_PLACE and fields[0].isdigit() and fields[1].isdigit():
            found.append(Row(int(fields[0]), float(fields[-IN_PLACE - 2]), float(fields[-2])))
    return tuple(found)


def program(operation: str) -> str | None:
    """The path of nccl-tests' program for an operation; None where it is not installed."""
    folder = os.environ.get("NCCL_TESTS")
    return (shutil.which(PROGRAMS[operation], path=folder) if folder else None) or shutil.which(PROGRAMS[operation])


def missing(profile: Profile) -> str:
    """Why there is nothing to compare, in one sentence; "" where there is."""
    if not profile.uses_gpu:
        return f"Profile {profile.name} uses no GPU: collectives have nothing to be compared with."
    if not any(map(program, PROGRAMS)):
        return "nccl-tests is not installed (in PATH, or in the folder NCCL_TESTS): collectives are left out."
    return ""


def of_suite(run: dict[str, Any]) -> dict[str, Ours]:
    """What a run.json says of each operation that was measured."""
    found = {}
    for result in run["results"]:
        kept = result["evidence"] if result["id"] == REQUIREMENT else []
        timed = [each for each in kept if each.get("rounds_s")]
        sizes = [
            size for each in kept if each["name"].startswith("algorithm of ") and (size := SIZE.search(each["source"]))
        ]
        if timed and sizes:
            found[timed[0]["name"].partition(" by ")[0]] = Ours(int(sizes[0][1]), float(timed[0]["value"]))
    return found


def rows(ours: dict[str, Ours], theirs: dict[str, tuple[Row, ...]]) -> Iterator[tuple[str, str, str]]:
    """Rows of the page's table: the ratio of bus bandwidths with both figures; the better of nccl-tests' two counts."""
    for operation, mine in ours.items():
        same = [
            max(row.out_of_place, row.in_place)
            for row in theirs.get(operation, ())
            if row.size_bytes == mine.size_bytes
        ]
        if same:
            told = f"{mine.gbs / same[0]:.3g} ({mine.gbs:.4g} / {same[0]:.4g})"
            yield f"{operation} of {mine.size_bytes} bytes, GB/s: suite / nccl-tests", told, "0.95 to 1.05"


def compared(profile: Profile) -> list[tuple[str, str, str]]:
    """Measure with both, one after the other; empty, with the reason on stderr, where there is nothing to compare."""
    if why := missing(profile):
        print(why, file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory(prefix="dgxcert-peers-") as folder:
        options = ["--profile", profile.name, "--runtime", "native", "--only", REQUIREMENT, "--results", folder]
        subprocess.run([sys.executable, "-m", "dgxcert", "validate", *options], check=False, capture_output=True)
        ours = of_suite(json.loads(next(Path(folder).glob("*/run.json")).read_text(encoding="utf-8")))
    return list(rows(ours, {operation: _measured(operation, mine.size_bytes) for operation, mine in ours.items()}))


def _measured(operation: str, size_bytes: int) -> tuple[Row, ...]:
    """What nccl-tests measures on all GPUs, on the size that the suite used."""
    path = program(operation)
    if path is None:
        return ()
    import torch

    size, gpus = str(size_bytes), str(torch.cuda.device_count())
    command = [path, "-b", size, "-e", size, "-g", gpus, "-w", "5", "-n", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        print(f"{path} ended with {done.returncode}: {done.stderr.strip()[-300:]}", file=sys.stderr)
    return parse(done.stdout)
