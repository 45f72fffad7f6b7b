"""Accelerator: accelerate takes the device of this machine, and passes the small test that comes with it.

That test is what `accelerate test` launches; here it runs in one process, on one device, with nobody's saved settings.
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
"""What the test says as it goes, so that one which left early does not look done."""


@dataclass(frozen=True)
class Accelerated:
    """The device that accelerate took, the processes that it counts, and the parts of its test that were done."""

    device: str
    processes: int
    parts: str


def run(device: Device) -> Accelerated:
    """Ask accelerate, then run its test, in a fresh process that is shown this one device.

    Raises Wrong with the assertion of accelerate's test that does not hold, and what else `fresh_process.run` raises.
    """
    shown = {"ACCELERATE_USE_CPU": "true"} if device.kind == "cpu" else {"CUDA_VISIBLE_DEVICES": str(device.index)}
    return Accelerated(**fresh_process.run("stack.accelerator", shown))


def expected(device: Device) -> str:
    """The name of the device in that process, which is shown no other."""
    return "cpu" if device.kind == "cpu" else "cuda:0"


def work() -> dict[str, Any]:
    """What accelerate takes, then its own test."""
    import accelerate
    from accelerate.test_utils.scripts import test_script

    state = accelerate.Accelerator()
    found = {"device": _named(state.device), "processes": state.num_processes}
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard):
        test_script.main()
    parts = [each for each in PARTS if f"**{each}**" in heard.getvalue()]
    return {**found, "parts": ", ".join(parts)}


def _named(device: Any) -> str:
    return str(device) if device.type == "cpu" or device.index is not None else f"{device.type}:0"


if __name__ == "__main__":
    json.dump(work(), sys.stdout)
