"""The driver's samples, read in a process of its own; it imports little, since its CPU time disturbs what it samples.

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
PROCESSES_EVERY_S = 0.5
"""Who uses the GPU is asked less often than how it works: the driver goes through all of its clients for it."""


def record_samples(index: int, hertz: float, path: Path) -> None:
    """Append samples of one GPU to a file until SIGTERM, or until the parent process has ended. Raises NVMLError."""
    import pynvml

    parent, stopped = os.getppid(), False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    pynvml.nvmlInit()
    gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
    nvml = driver_answers.NamedCalls(pynvml)
    answers = driver_answers.ask(nvml, gpu, FIELDS)
    who = driver_answers.ask(nvml, gpu, driver_answers.PROCESSES)
    refused = answers["refused"] | who["refused"]
    fields, processes = tuple(answers["answered"]), tuple(who["answered"])
    with path.open("a", encoding="ascii", buffering=1) as file:
        write_line(file, {"at": time.time(), "hertz": hertz, "refused": refused, **_counters(nvml, gpu)})
        asked = -PROCESSES_EVERY_S
        while not stopped and os.getppid() == parent:  # killed with SIGKILL, the parent cannot stop this process
            began = time.monotonic()
            who_too = began - asked >= PROCESSES_EVERY_S
            asked = began if who_too else asked
            write_line(file, {"t": began, **sample(nvml, gpu, (*fields, *processes) if who_too else fields)})
            time.sleep(max(0.0, 1 / hertz - (time.monotonic() - began)))
        write_line(file, {**_counters(nvml, gpu), "cpu_s": time.process_time()})


def sample(nvml: Any, gpu: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    """One reading of every field. Raises NVMLError where one is refused that was answered at the start."""
    return {name: driver_answers.FIELDS[name](nvml, gpu) for name in fields}


def write_line(file: Any, entry: dict[str, Any]) -> None:
    """One JSON line."""
    file.write(json.dumps(entry) + "\n")


def _counters(nvml: Any, gpu: Any) -> dict[str, Any]:
    """The counters that this driver has, and the time of reading. Raises NVMLError where it has them and refuses."""
    try:
        counters = dict(driver_answers.FIELDS["counters"](nvml, gpu))
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        counters = {}
    return {"t": time.monotonic(), "counters": counters}


if __name__ == "__main__":
    try:
        record_samples(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
    except Exception as error:  # the parent reports the last line, so it must be the error and no traceback
        code = f" {error.value}" if hasattr(error, "value") else ""
        sys.exit(f"{type(error).__name__}{code}: {error}")
