"""CUDA without torch: on how many of the driver's GPUs it starts, by which error it does not, and why that may be."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgxcert import command
from dgxcert.machine import cuda_errors
from dgxcert.machine.identity import Machine, is_display_adapter
from dgxcert.machine.nvml_errors import RESTART
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml

PROGRAM = "dgxcert.probes.gpu.cuda_start"
START_S = 90.0
"""Without persistence mode eight GPUs load for half a minute; a context takes a second more on each."""
DEVICE_FILES, MODULES = Path("/dev"), Path("/proc/modules")
WSL = "dxg"
"""The only device file of a GPU in Windows' Linux."""
VISIBLE = "CUDA_VISIBLE_DEVICES"

NO_LIBRARY = (
    "Look for the driver's library: ldconfig -p | grep libcuda.so",
    Trait.DGX_OS.only("Finish the installation of the driver: sudo apt update && sudo apt full-upgrade; sudo reboot"),
    Trait.OTHER_OS.only("Install the whole driver, on Ubuntu: sudo apt install nvidia-driver-580-open; sudo reboot"),
    "In a container, give it the driver's compute libraries too: NVIDIA_DRIVER_CAPABILITIES=compute,utility",
)


@dataclass(frozen=True)
class CudaDevices:
    """How many GPUs CUDA starts on, what kept it from the others, and what to do."""

    started: int
    problem: str = ""
    remedy: tuple[str, ...] = ()
    error: int = 0
    """CUDA's code, 0 where it returned none."""

    @property
    def source(self) -> str:
        """The result as text for evidence."""
        return f"cuInit and a context on each GPU: {self.problem or 'no error'}"


def read(machine: Machine) -> CudaDevices:
    """On which of the driver's GPUs CUDA starts.

    Raises Inconclusive without a GPU, where the driver hangs or crashes, and where a variable alone hides GPUs.
    """
    if not machine.gpus:
        raise Inconclusive("the driver lists no GPU", "See GPU-PRESENT first.")
    free = {name: value for name, value in os.environ.items() if name != VISIBLE}
    found = parse(_ask(free), machine, causes_on(machine))
    if found.problem or VISIBLE not in os.environ:
        return found
    seen = parse(_ask(dict(os.environ)), machine, ())
    if seen.problem:
        raise Inconclusive(
            f"{VISIBLE}={os.environ[VISIBLE]!r} hides GPUs on which CUDA starts without it: {seen.problem}",
            f"Run again without it: env -u {VISIBLE} make validate",
        )
    return found


def parse(answer: Mapping[str, Any], machine: Machine, causes: tuple[str, ...]) -> CudaDevices:
    """The answer of `cuda_start` about a machine; `causes` are named where CUDA does not start on every GPU.

    >>> from dgxcert.machine.identity import Gpu
    >>> machine = Machine(hostname="h", kernel="6", architecture="x86_64", cores=1, gpus=(Gpu(index=0, product="NVIDIA \
H200", uuid="GPU-0", compute_capability="9.0"),))
    >>> parse({"error": 802}, machine, ()).problem
    'CUDA error 802, system not yet initialized (CUDA_ERROR_SYSTEM_NOT_READY): GPUs linked by NVSwitch wait for the \
fabric manager, or a GPU wants a reset'
    """
    also = "".join(f"; {cause}" for cause in causes)
    if "missing" in answer:
        return CudaDevices(0, f"CUDA's library could not be loaded: {answer['missing']}{also}", NO_LIBRARY)
    if "error" in answer:
        error = cuda_errors.find(answer["error"])
        return CudaDevices(0, f"{error.description}{also}", error.remedy, error.code)
    adapters = {_plain(adapter.uuid) for adapter in machine.display_adapters}
    devices = [each for each in answer["devices"] if not is_display_adapter(each["product"])]
    devices = [each for each in devices if each["uuid"] not in adapters]
    failed = [each for each in devices if each["error"]]
    started = len(devices) - len(failed)
    if failed:
        error = cuda_errors.find(failed[0]["error"])
        names = ", ".join(_name(each, machine) for each in failed)
        return CudaDevices(started, f"{names}: {error.description}{also}", error.remedy, error.code)
    if started < len(machine.gpus):
        offered = {each["uuid"] for each in devices}
        hidden = [f"GPU {gpu.index}" for gpu in machine.gpus if _plain(gpu.uuid) not in offered]
        remedy = cuda_errors.find(100).remedy
        return CudaDevices(started, f"CUDA does not offer {', '.join(hidden) or 'every GPU'}{also}", remedy)
    return CudaDevices(started)


def _name(device: Mapping[str, Any], machine: Machine) -> str:
    index = next((gpu.index for gpu in machine.gpus if _plain(gpu.uuid) == device["uuid"]), None)
    return f"GPU {index}" if index is not None else str(device["product"] or "a GPU")


def _plain(uuid: str) -> str:
    """The UUID of NVML, `GPU-` and five groups, as the digits alone."""
    return uuid.removeprefix("GPU-").replace("-", "").lower()


def _ask(env: dict[str, str]) -> dict[str, Any]:
    done = command.run([sys.executable, "-P", "-m", PROGRAM], timeout_s=START_S, env=env)
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    calls = [line for line in done.stderr.splitlines() if line.startswith("cu")]
    call = calls[-1] if calls else "the first call"
    if done.timed_out:
        problem = f"CUDA did not start within {START_S:.0f} s ({call})"
    elif done.returncode is not None and done.returncode < 0:
        problem = f"CUDA crashes the process that starts it, by signal {-done.returncode} ({call})"
    else:
        raise Inconclusive(f"CUDA could not be started: {done.complaint}", "Reinstall dgxcert: make setup")
    raise Inconclusive(problem, *RESTART, *cuda_errors.find(999).remedy[:2])


def causes_on(machine: Machine) -> tuple[str, ...]:
    """What can keep CUDA from starting here: device files, the module nvidia_uvm, MIG without an instance."""
    found = []
    if not (DEVICE_FILES / WSL).exists():
        wanted = ("nvidiactl", "nvidia-uvm", *(f"nvidia{gpu.index}" for gpu in machine.gpus))
        files = [DEVICE_FILES / name for name in wanted]
        if missing := [str(path) for path in files if not path.exists()]:
            found.append(f"there is no {', '.join(missing)}")
        if closed := [str(path) for path in files if path.exists() and not os.access(path, os.R_OK | os.W_OK)]:
            found.append(f"this user may not open {', '.join(closed)}")
        if MODULES.exists() and "nvidia_uvm " not in MODULES.read_text(encoding="ascii", errors="replace"):
            found.append("the module nvidia_uvm is not loaded")
    modes = {gpu.index: nvml.ask(gpu.index, "mig").answered.get("mig") for gpu in machine.gpus}
    divided = [f"GPU {index}" for index, mode in modes.items() if mode and mode[0]]
    if divided:
        found.append(f"MIG is on, and without an instance CUDA has no device on {', '.join(divided)}")
    return tuple(found)
