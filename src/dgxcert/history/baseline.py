"""Baseline: earlier runs of a machine with an image, kept by pytest-benchmark's own storage, for later ones.

One folder for each machine and image; `pytest-benchmark compare` reads what lies in it.
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
"""Digits that tell apart what is called the same."""


def place(run: Run) -> str:
    """The folder of a run's machine and image, such as `NVIDIA-GB10-3f2a91bc/sha256-77aa01...`."""
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
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.") or "unnamed"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:HASH]


def load(run: Run, baselines: Path) -> list[dict[str, Timing]]:
    """The kept runs of this machine and image with the same sizes of work; raises CannotStart where there is none."""
    where = baselines / place(run)
    kept = []
    for path in sorted(where.glob("[0-9]*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            same = content["dgxcert"]["workloads"] == _workloads(run)
            found = timings.parse(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CannotStart(f"{path} cannot be read: {type(error).__name__}: {error}.", "Remove it.") from error
        if same:
            kept.append(found)
    if not kept:
        raise CannotStart(
            f"There is no baseline of this machine with this image and these sizes of work in {where}.",
            "Keep a run of it while it is known to be well: dgxcert compare RUN --keep",
        )
    return kept


def keep(run: Run, folder: Path, baselines: Path) -> Path:
    """Add a run to its machine's and image's baseline; returns the folder. CannotStart where it is no example."""
    if trouble := unfit(run, timings.read(folder)):
        raise CannotStart(
            f"{folder} is no example to hold others to: {trouble}.",
            "Keep a run of the whole standard tier that passed.",
        )
    where = baselines / place(run)
    content = json.loads((folder / NAME).read_text(encoding="utf-8"))
    content["dgxcert"] = {"run": run.name, "workloads": _workloads(run), "profile": run.profile.name}
    storage: Any = FileStorage  # it is not typed
    storage(where, logging.getLogger(__name__)).save(content, run.name)
    return where


def unfit(run: Run, found: dict[str, Timing]) -> str:
    """Why a run must not become a baseline, or ""."""
    if run.judgement.verdict in (Verdict.REJECTED, Verdict.INCONCLUSIVE):
        bad = [each.key for each in run.results if each.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE)]
        return f"its verdict is {run.judgement.verdict.value} ({', '.join(bad[:3]) or 'see the run'})"
    if spoiled := [each for each in found.values() if each.spoiled]:
        return f"{spoiled[0].requirement}: {spoiled[0].spoiled}"
    return "" if found else "it timed no benchmark"


def _workloads(run: Run) -> str:
    """Hash of all sizes of work: only the same work is compared."""
    return _hash(run.profile.workloads.model_dump_json())
