"""Baseline: runs of a machine with an image that later runs are compared with, in pytest-benchmark's own storage.

Each machine and image has a folder, which `pytest-benchmark compare` can read as well.
"""

import hashlib
import json
import logging
import re
from pathlib import Path
from typing import Any

from pytest_benchmark.storage.file import FileStorage

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.options import NATIVE
from dgxcert.record import timings
from dgxcert.record.benchmark_file import NAME
from dgxcert.record.run import Run
from dgxcert.record.timings import Timing

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
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.") or "unnamed"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:HASH]


def load(run: Run, baselines: Path) -> list[dict[str, Timing]]:
    """The kept runs of this machine and image with the same workload sizes. Raises CannotStart where there is none."""
    folder = baselines / place(run)
    kept = []
    for path in sorted(folder.glob("[0-9]*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            same = content["dgxcert"]["workloads"] == _workloads(run)
            benchmarks = timings.parse(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CannotStart(f"{path} cannot be read: {type(error).__name__}: {error}.", "Remove it.") from error
        if same:
            kept.append(benchmarks)
    if not kept:
        raise CannotStart(
            f"There is no baseline of this machine with this image and these workload sizes in {folder}.",
            "Keep a run of it while it is known to be healthy: dgxcert compare RUN --keep",
        )
    return kept


def keep(run: Run, folder: Path, baselines: Path) -> Path:
    """Add a run to the baseline of its machine and image; returns that folder. Raises CannotStart for an unfit run."""
    if reason := unfit(run, timings.read(folder)):
        raise CannotStart(
            f"{folder} is not fit for a baseline: {reason}.",
            "Keep a run of the whole standard tier that passed.",
        )
    baseline = baselines / place(run)
    content = json.loads((folder / NAME).read_text(encoding="utf-8"))
    content["dgxcert"] = {"run": run.name, "workloads": _workloads(run), "profile": run.profile.name}
    storage: Any = FileStorage  # pytest-benchmark has no types
    storage(baseline, logging.getLogger(__name__)).save(content, run.name)
    return baseline


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
