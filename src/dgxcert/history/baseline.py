"""Baseline: runs of a machine with an image that later runs are compared with, in pytest-benchmark's own storage.

Each machine and image has a folder, which `pytest-benchmark compare` can read as well.
"""

import hashlib
import json
import os
import re
from pathlib import Path

from dgxcert.files import untrusted
from dgxcert.files.atomic import write_text
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.options import NATIVE
from dgxcert.record import timings
from dgxcert.record.benchmark_file import AT_MOST, NAME
from dgxcert.record.run import Run
from dgxcert.record.timings import Timing

KEPT = re.compile(r"(\d{4,9})_.*\.json", re.DOTALL)
"""The name of a kept run, with its number, as pytest-benchmark's storage writes it."""
LONGEST_NAME = 60
HASH = 8
"""Hexadecimal digits of a hash: enough to distinguish machines with the same name."""


def place(run: Run) -> str:
    """The folder of a run's machine and image, such as `NVIDIA-GB10-3f2a91bc/sha256-77aa01c2ffee`."""
    machine = run.machine
    identity = sorted(gpu.uuid for gpu in machine.gpus) or [machine.hostname, machine.cpu or "", str(machine.cores)]
    name = machine.gpus[0].product if machine.gpus else machine.hostname
    return f"{_safe(name)}-{_hash(*identity)}/{_image(run)}"


def _image(run: Run) -> str:
    if run.image is not None:
        return _safe(run.image.id)[: len("sha256-") + 12]
    installed = run.software[NATIVE].packages if NATIVE in run.software else {}
    return f"native-{_hash(*(f'{name} {version}' for name, version in sorted(installed.items())))}"


def _safe(text: str) -> str:
    """A file name of the text."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:LONGEST_NAME] or "unnamed"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()[:HASH]


def load(run: Run, baselines: Path) -> tuple[list[dict[str, Timing]], list[str]]:
    """The kept runs of this machine and image with the same workload sizes, and a line about each file that is none.

    Raises CannotStart where there is no such run.
    """
    folder = baselines / place(run)
    kept, skipped = [], []
    for name in _names(folder):
        path = folder / name
        try:
            content = untrusted.read_json(path, AT_MOST, below=baselines)
            benchmarks = timings.parse(content)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            skipped.append(untrusted.shown(f"skipped {path}: {reason}"))
            continue
        about = content.get("dgxcert")
        if isinstance(about, dict) and about.get("workloads") == _workloads(run):
            kept.append(benchmarks)
    if not kept:
        found = f" ({skipped[0]})" if skipped else ""
        raise CannotStart(
            f"There is no baseline of this machine with this image and these workload sizes in {folder}{found}.",
            "Keep a run of it while it is known to be healthy: dgxcert compare RUN --keep",
        )
    return kept, skipped


def _names(folder: Path) -> list[str]:
    """The names of the kept runs, oldest first; none where there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder) if KEPT.fullmatch(name))
    except OSError:
        return []


def keep(run: Run, folder: Path, baselines: Path) -> Path:
    """Add a run to the baseline of its machine and image; returns that folder. Raises CannotStart for an unfit run."""
    if reason := unfit(run, timings.read(folder)):
        raise CannotStart(
            f"{folder} is not fit for a baseline: {reason}.",
            "Keep a run of the whole standard tier that passed.",
        )
    baseline = baselines / place(run)
    content = untrusted.read_json(folder / NAME, AT_MOST)
    content["dgxcert"] = {"run": run.name, "workloads": _workloads(run), "profile": run.profile.name}
    _make(baseline, baselines)
    last = max((int(match[1]) for name in _names(baseline) if (match := KEPT.fullmatch(name))), default=0)
    write_text(baseline / f"{last + 1:04}_{_safe(run.name)}.json", json.dumps(content, indent=1))
    return baseline


def _make(baseline: Path, baselines: Path) -> None:
    """Make a baseline's folder. Raises CannotStart where a link would lead it elsewhere, or it cannot be made."""
    try:
        baseline.mkdir(parents=True, exist_ok=True)
        if baseline.resolve(strict=True) != baselines.resolve(strict=True) / baseline.relative_to(baselines):
            raise CannotStart(f"{baseline} is a link to another folder.", f"Remove the link: ls -l {baselines}")
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a link leads to itself"
        raise CannotStart(f"{baseline} cannot be made: {reason}.", "Name another with --baselines.") from error


def unfit(run: Run, benchmarks: dict[str, Timing]) -> str:
    """Why a run must not become part of a baseline, or ""."""
    if run.judgement.verdict in (Verdict.REJECTED, Verdict.INCONCLUSIVE):
        bad = [result.key for result in run.results if result.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE)]
        return f"its verdict is {run.judgement.verdict.value} ({', '.join(bad[:3]) or 'see the run'})"
    if spoiled := [timing for timing in benchmarks.values() if timing.spoiled]:
        return f"{spoiled[0].requirement}: {spoiled[0].spoiled}"
    return "" if benchmarks else "it timed no benchmark"


def _workloads(run: Run) -> str:
    """Hash of all workload sizes: only the same work is compared."""
    return _hash(run.profile.workloads.model_dump_json())
