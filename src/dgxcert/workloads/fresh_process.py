"""Fresh process: a module of this package in a process with its own cache folders and a time limit.

Libraries read where their caches are when they are imported, and their child processes inherit what is loaded.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from dgxcert import command
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.stack import beside, intruder

LIMIT_S = 150.0
DISK_ERRORS = ("No space left on device", "Read-only file system")
"""Errors of the disk, which are no fault of a library."""


def run(module: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """The JSON in the last line that `python -m dgxcert.workloads.MODULE FOLDER` prints; FOLDER is temporary.

    Raises Wrong where the process ends with an error, with the package beside the lock that it comes from, and
    Inconclusive where it timed out or was killed.
    """
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as folder:
        own = {"HF_HOME": folder, "HF_HUB_OFFLINE": "1", "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        for name in ("HF_DATASETS_CACHE", "HF_MODULES_CACHE", "HF_EVALUATE_CACHE", "HF_METRICS_CACHE"):
            own[name] = os.path.join(folder, name.lower())
        args = [sys.executable, "-P", "-m", f"dgxcert.workloads.{module}", folder]
        completed = command.run(
            args, timeout_s=LIMIT_S, cwd=Path(folder), env={**os.environ, **own, **(environment or {})}
        )
    return parse(module, completed)


def parse(module: str, completed: command.Completed) -> dict[str, Any]:
    """The JSON in the last line of the output; raises what `run` raises.

    >>> output = 'Downloading builder script\\n{"f1": 1.0}\\n'
    >>> parse("stack.metric", command.Completed((), returncode=0, stdout=output, stderr=""))
    {'f1': 1.0}
    """
    if completed.timed_out:
        raise Inconclusive(
            f"{module} timed out after {LIMIT_S:.0f} s",
            "Check the load and the disk: top; df -h /tmp; then run it again.",
        )
    if completed.returncode == -9 or any(words in completed.stderr for words in DISK_ERRORS):
        raise Inconclusive(
            f"{module} could not run: {completed.complaint}", "Free space or memory: df -h /tmp; free -g"
        )
    if completed.returncode != 0:
        guilty = intruder.of_output(completed.stderr, beside.of_this_environment())
        if guilty is not None:
            raise Wrong(
                intruder.problem(f"{module} ended with an error: {completed.complaint}", guilty), *guilty.removal
            )
        raise Wrong(f"{module} ended with an error: {completed.complaint}")
    return dict(json.loads(completed.stdout.strip().splitlines()[-1]))
