"""Accelerator: the device that accelerate takes, and accelerate's own test, in one fresh process on that device.

The test is the one that `accelerate test` launches, without the user's saved configuration.
"""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from typing import Any

from dgxcert.machine.device import Device
from dgxcert.workloads import fresh_process

PARTS = ("Initialization", "DataLoader integration test", "Training integration test", "Breakpoint trigger test")
"""Headings that the test prints as it goes: a test that returned early lacks some of them."""


@dataclass(frozen=True)
class SelfTest:
    """The device that accelerate took, its number of processes, and the parts of its test that ran."""

    device: str
    processes: int
    parts: str


def run(device: Device) -> SelfTest:
    """Run accelerate's test in a fresh process that sees this device only.

    Raises Wrong with the assertion of accelerate's test that failed, and what else `fresh_process.run` raises.
    """
    visible = {"ACCELERATE_USE_CPU": "true"} if device.kind == "cpu" else {"CUDA_VISIBLE_DEVICES": str(device.index)}
    return SelfTest(**fresh_process.run("stack.accelerator", visible))


def expected(device: Device) -> str:
    """The name of the device in that process, where a GPU is always the first.

    >>> expected(Device("cuda", 3, "NVIDIA H100"))
    'cuda:0'
    """
    return "cpu" if device.kind == "cpu" else "cuda:0"


def work() -> dict[str, Any]:
    """Create an Accelerator, then run accelerate's test; returns the fields of `SelfTest`."""
    import accelerate
    from accelerate.test_utils.scripts import test_script

    state = accelerate.Accelerator()
    fields = {"device": _name(state.device), "processes": state.num_processes}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):  # the last line that this process prints must be its JSON
        test_script.main()
    parts = [part for part in PARTS if f"**{part}**" in output.getvalue()]
    return {**fields, "parts": ", ".join(parts)}


def _name(device: Any) -> str:
    """The name of a torch device; accelerate may leave out the index of the first GPU."""
    return str(device) if device.type == "cpu" or device.index is not None else f"{device.type}:0"


if __name__ == "__main__":
    json.dump(work(), sys.stdout)
