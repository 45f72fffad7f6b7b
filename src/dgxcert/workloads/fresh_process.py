"""Fresh process: work of this package that must not disturb others, with folders of its own and a hard limit.

Libraries read where their caches are when they are imported, and processes that they start inherit whatever is loaded.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from dgxcert import command
from dgxcert.outcome import Inconclusive, Wrong

LIMIT_S = 150.0
NO_PLACE = ("No space left on device", "Read-only file system")
"""What says nothing about a library."""


def run(module: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What `python -m dgxcert.workloads.MODULE FOLDER` prints as its last line, as JSON; the folder is gone afterwards.

    Raises Wrong, with the error, where the process ends in one; Inconclusive where it came to no end or was killed.
    """
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as folder:
        own = {"HF_HOME": folder, "HF_HUB_OFFLINE": "1", "TMPDIR": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        for name in ("HF_DATASETS_CACHE", "HF_MODULES_CACHE", "HF_EVALUATE_CACHE", "HF_METRICS_CACHE"):
            own[name] = os.path.join(folder, name.lower())
        args = [sys.executable, "-P", "-m", f"dgxcert.workloads.{module}", folder]
        asked = command.run(args, timeout_s=LIMIT_S, cwd=Path(folder), env={**os.environ, **own, **(environment or {})})
    return parse(module, asked)


def parse(module: str, asked: command.Completed) -> dict[str, Any]:
    """The answer in what the process printed; raises what `run` raises."""
    if asked.timed_out:
        raise Inconclusive(f"{module} came to no end within {LIMIT_S:.0f} s", "Look: top; df -h /tmp; run it again.")
    if asked.returncode == -9 or any(words in asked.stderr for words in NO_PLACE):
        raise Inconclusive(f"{module} could not work: {asked.complaint}", "Make room: df -h /tmp; free -g")
    if asked.returncode != 0:
        raise Wrong(f"{module} ended in an error: {asked.complaint}")
    return dict(json.loads(asked.stdout.strip().splitlines()[-1]))
