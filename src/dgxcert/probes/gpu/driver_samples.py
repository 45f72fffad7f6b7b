"""The driver's samples, for whoever starts this as a process of its own; it imports little, since its start costs too.

python -P -m dgxcert.probes.gpu.driver_samples INDEX HERTZ FILE
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from dgxcert.probes.gpu import driver_answers

FIELDS = (
    "clock",
    "power_w",
    "temperature",
    "utilization",
    "event_reasons",
    "performance_state",
    "link_generation",
    "link_width",
)


def watch(index: int, hertz: float, path: Path) -> None:
    """Append samples to a file until SIGTERM, or until whoever started this is gone. NVMLError ends it with exit 1."""
    import pynvml

    parent, stopped = os.getppid(), False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    pynvml.nvmlInit()
    gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
    told = driver_answers.Called(pynvml)
    said = driver_answers.ask(told, gpu, FIELDS)
    refused = {name: refusal["says"] for name, refusal in said["refused"].items()}
    fields = tuple(said["answered"])
    with path.open("a", encoding="ascii", buffering=1) as file:
        write_line(file, {"at": time.time(), "hertz": hertz, "refused": refused, **_counted(told, gpu)})
        while not stopped and os.getppid() == parent:
            began = time.monotonic()
            write_line(file, {"t": began, **sample(told, gpu, fields)})
            time.sleep(max(0.0, 1 / hertz - (time.monotonic() - began)))
        write_line(file, {**_counted(told, gpu), "cpu_s": time.process_time()})


def sample(nvml: Any, gpu: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    """One reading of every field; raises NVMLError where one that was there before no longer is."""
    return {name: driver_answers.FIELDS[name](nvml, gpu) for name in fields}


def write_line(file: Any, entry: dict[str, Any]) -> None:
    """One JSON line."""
    file.write(json.dumps(entry) + "\n")


def _counted(told: Any, gpu: Any) -> dict[str, Any]:
    """The counters that this driver has, and when they were read; NVMLError where it has them and does not tell."""
    try:
        counters = dict(driver_answers.FIELDS["counters"](told, gpu))
    except (told.NVMLError_NotSupported, told.NVMLError_FunctionNotFound):
        counters = {}
    return {"t": time.monotonic(), "counters": counters}


if __name__ == "__main__":
    try:
        watch(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
    except Exception as error:  # whatever it is, the parent names it and nobody looks at a traceback here
        sys.exit(f"{type(error).__name__}: {error}")
