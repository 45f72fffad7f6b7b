"""Programs in Triton's interpreter, which computes on a CPU what Triton compiles for a GPU."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import needs

BESIDE = Path(sys.prefix) / "triton"
"""Where `make test` puts Triton, since torch for a CPU comes without it: an environment with it would be another."""


def answers(program: Path) -> Any:
    """What a program prints as JSON, in a process of its own: Triton looks for its interpreter where it is imported."""
    if not BESIDE.is_dir() and not importlib.util.find_spec("triton"):
        needs.missing("Triton's interpreter", "Put it beside the environment: make interpreter")
    path = os.pathsep.join([str(BESIDE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    run = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)
