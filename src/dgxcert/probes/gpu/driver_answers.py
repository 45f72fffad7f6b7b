"""The driver's answers through NVML, read in a process of its own, since the driver can hang or crash its caller.

    python -P -m dgxcert.probes.gpu.driver_answers machine
    python -P -m dgxcert.probes.gpu.driver_answers gpu INDEX FIELD...

print JSON. The name of each NVML call goes to standard error before it is made, so that a call that never returns has a
name.
"""

import ctypes
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from dgxcert.probes.gpu.sharing import outside_view, siblings
from dgxcert.probes.links import nvlink_answers

Read = Callable[[Any, Any], Any]
"""Reads one field with nvidia-ml-py and a device handle."""

COMPUTE_MODES = ("Default", "Exclusive_Thread", "Prohibited", "Exclusive_Process")
COUNTERS = {
    "power_cap": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP",
    "thermal_software": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN",
    "thermal_hardware": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN",
    "power_brake": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN",
}
"""Time spent in each state since the driver was loaded. The driver counts in ns, and updates about every 100 ms."""
INVALID_ARGUMENT, NOT_SUPPORTED = 2, 3
"""nvmlReturn_t, nvml.h. Older drivers answer Invalid Argument for a counter that they do not know."""
ABSENT = (INVALID_ARGUMENT, 13, 25)
"""As the two above, with Function Not Found and Argument Version Mismatch: of a question newer than the driver."""
PROCESS_SAMPLE_US = 2_000_000
"""Samples of processes that are older than the newest one by this much are of processes that have ended since."""
UNSIGNED_INT = 1
"""NVML_VALUE_TYPE_UNSIGNED_INT; otherwise a counter is an unsigned long long."""


class NamedCalls:
    """nvidia-ml-py that writes the name of each function to standard error before it is called."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def __getattr__(self, name: str) -> Any:
        if name.startswith("nvml"):
            sys.stderr.write(f"{name}\n")
            sys.stderr.flush()  # the call may never return, and the process may be killed in it
        return getattr(self._library, name)


def _counters(nvml: Any, gpu: Any) -> dict[str, float]:
    """Seconds by counter; without those that this driver does not have. Raises NVMLError where one is refused."""
    values = nvml.nvmlDeviceGetFieldValues(gpu, [getattr(nvml, field) for field in COUNTERS.values()])
    seconds = {}
    for name, value in zip(COUNTERS, values, strict=True):
        if value.nvmlReturn in (NOT_SUPPORTED, INVALID_ARGUMENT):
            continue
        if value.nvmlReturn:
            raise nvml.NVMLError(value.nvmlReturn)
        seconds[name] = (value.value.uiVal if value.valueType == UNSIGNED_INT else value.value.ullVal) / 1e9
    return seconds


def _recovery_action(nvml: Any, gpu: Any) -> str:
    """`NONE`, `GPU_RESET`, or another of the library's names without its prefix; a number that has no name.

    Drivers before 565 have two fields in its place. Raises NVMLError where this driver has neither.
    """
    names = {code: name for name, code in _constants(nvml, "NVML_GPU_RECOVERY_ACTION_").items()}
    fields = ("NVML_FI_DEV_GET_GPU_RECOVERY_ACTION", "NVML_FI_DEV_RESET_STATUS", "NVML_FI_DEV_DRAIN_AND_RESET_STATUS")
    values = nvml.nvmlDeviceGetFieldValues(gpu, [getattr(nvml, field) for field in fields])
    action, *older = values
    if not action.nvmlReturn:
        return str(names.get(action.value.uiVal, action.value.uiVal))
    for value, name in zip(older, ("GPU_RESET", "DRAIN_AND_RESET"), strict=True):
        if not value.nvmlReturn and value.value.uiVal:
            return name
    if all(value.nvmlReturn for value in older):
        raise nvml.NVMLError(action.nvmlReturn)
    return "NONE"


FABRIC_STRUCTURES = ("c_nvmlGpuFabricInfo_v3_t", "c_nvmlGpuFabricInfo_v2_t")


def _fabric(nvml: Any, gpu: Any) -> dict[str, Any]:
    """State and status of a GPU in the NVLink fabric, and its health where this driver tells it.

    Raises NVMLError where the GPU has no fabric or the driver is older than this question.
    """
    for structure in FABRIC_STRUCTURES:
        info = getattr(nvml, structure)()
        try:
            nvml.nvmlDeviceGetGpuFabricInfoV(gpu, ctypes.byref(info))
        except nvml.NVMLError as error:
            if error.value not in ABSENT:
                raise
            continue
        return _fabric_of(nvml, info)
    info = nvml.c_nvmlGpuFabricInfo_t()
    nvml.nvmlDeviceGetGpuFabricInfo(gpu, ctypes.byref(info))
    return _fabric_of(nvml, info)


def _fabric_of(nvml: Any, info: Any) -> dict[str, Any]:
    states = {code: name for name, code in _constants(nvml, "NVML_GPU_FABRIC_STATE_").items()}
    summaries = {code: name for name, code in _constants(nvml, "NVML_GPU_FABRIC_HEALTH_SUMMARY_").items()}
    state = info.state & 0xFF  # one byte in nvml.h, and four in the bindings
    health = {}
    if hasattr(info, "healthMask"):
        prefix = "NVML_GPU_FABRIC_HEALTH_MASK_"
        for part, shift in _constants(nvml, f"{prefix}SHIFT_").items():
            value = info.healthMask >> shift & getattr(nvml, f"{prefix}WIDTH_{part}")
            names = {code: name for name, code in _constants(nvml, f"{prefix}{part}_").items()}
            health[part] = names.get(value, str(value))
    if hasattr(info, "healthSummary"):
        health["SUMMARY"] = summaries.get(info.healthSummary, str(info.healthSummary))
    return {"state": states.get(state, str(state)), "status": info.status, "health": health}


def _constants(nvml: Any, prefix: str) -> dict[str, int]:
    """The library's constants by what follows a prefix of their names."""
    return {name.removeprefix(prefix): code for name, code in vars(_library(nvml)).items() if name.startswith(prefix)}


def _library(nvml: Any) -> Any:
    return nvml._library if isinstance(nvml, NamedCalls) else nvml


def _inforom(nvml: Any, gpu: Any) -> bool:
    """True where the GPU's infoROM has the right checksums. Raises NVMLError_CorruptedInforom and others."""
    nvml.nvmlDeviceValidateInforom(gpu)
    return True


def _ecc(uncorrected: bool, aggregate: bool) -> Read:
    return lambda nvml, gpu: nvml.nvmlDeviceGetTotalEccErrors(gpu, int(uncorrected), int(aggregate))


def _pids(function: str) -> Read:
    return lambda nvml, gpu: [process.pid for process in getattr(nvml, function)(gpu)]


def _compute_processes(nvml: Any, gpu: Any) -> list[int]:
    """The ids of the processes that compute on a GPU.

    Raises Unseen where the list would lack those of other containers: the process that works is the parent of this one.
    """
    pids = [process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)]
    if outside_view.hides_others(pids, own=os.getppid()):
        raise outside_view.Unseen("this container sees no process of others: start it with --pid=host")
    return siblings.without(pids)


def _no_foreign(nvml: Any, _gpu: Any) -> list[int]:
    """Only who looks from outside of a container can tell its processes from others'."""
    raise nvml.NVMLError(NOT_SUPPORTED)


def _from_outside(name: str, here: Read) -> Read:
    """A question about processes, answered from outside in a container of a run, and by the driver elsewhere."""

    def read(nvml: Any, gpu: Any) -> Any:
        if not outside_view.is_there():
            return here(nvml, gpu)
        try:
            return outside_view.answer(nvml.nvmlDeviceGetUUID(gpu), name)
        except outside_view.Refused as refused:
            raise nvml.NVMLError(refused.code) from refused

    return read


def _process_utilization(nvml: Any, gpu: Any) -> dict[int, int]:
    """Share of the time in percent in which kernels or graphics of each process ran, as the driver last sampled it.

    Empty where it has no samples, as on an idle GPU: that is NVML's Not Found, and not Not Supported.
    """
    try:
        samples = nvml.nvmlDeviceGetProcessUtilization(gpu, 0)
    except (nvml.NVMLError_NotFound, nvml.NVMLError_InsufficientSize):  # or a process came between its two calls
        return {}
    newest = max((sample.timeStamp for sample in samples), default=0) - PROCESS_SAMPLE_US
    return {sample.pid: sample.smUtil for sample in samples if sample.timeStamp >= newest}


FIELDS: dict[str, Read] = {
    "product": lambda nvml, gpu: nvml.nvmlDeviceGetName(gpu),
    "uuid": lambda nvml, gpu: nvml.nvmlDeviceGetUUID(gpu),
    "compute_capability": lambda nvml, gpu: "{}.{}".format(*nvml.nvmlDeviceGetCudaComputeCapability(gpu)),
    "serial": lambda nvml, gpu: nvml.nvmlDeviceGetSerial(gpu),
    "vbios": lambda nvml, gpu: nvml.nvmlDeviceGetVbiosVersion(gpu),
    "memory_total": lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
    "memory_free": lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).free,
    "persistence": lambda nvml, gpu: bool(nvml.nvmlDeviceGetPersistenceMode(gpu)),
    "compute_mode": lambda nvml, gpu: COMPUTE_MODES[nvml.nvmlDeviceGetComputeMode(gpu)],
    "mig": lambda nvml, gpu: [bool(mode) for mode in nvml.nvmlDeviceGetMigMode(gpu)],
    "ecc_mode": lambda nvml, gpu: [bool(mode) for mode in nvml.nvmlDeviceGetEccMode(gpu)],
    "ecc_uncorrected": _ecc(uncorrected=True, aggregate=False),
    "ecc_corrected": _ecc(uncorrected=False, aggregate=False),
    "ecc_uncorrected_ever": _ecc(uncorrected=True, aggregate=True),
    "ecc_corrected_ever": _ecc(uncorrected=False, aggregate=True),
    "remapped_rows": lambda nvml, gpu: [int(count) for count in nvml.nvmlDeviceGetRemappedRows(gpu)],
    "link_width": lambda nvml, gpu: nvml.nvmlDeviceGetCurrPcieLinkWidth(gpu),
    "link_width_max": lambda nvml, gpu: nvml.nvmlDeviceGetMaxPcieLinkWidth(gpu),
    "link_generation": lambda nvml, gpu: nvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu),
    "link_generation_max": lambda nvml, gpu: nvml.nvmlDeviceGetMaxPcieLinkGeneration(gpu),
    "power_limit_w": lambda nvml, gpu: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
    "power_limit_requested_w": lambda nvml, gpu: nvml.nvmlDeviceGetPowerManagementLimit(gpu) / 1000,
    "power_limits_w": lambda nvml, gpu: [
        limit / 1000 for limit in nvml.nvmlDeviceGetPowerManagementLimitConstraints(gpu)
    ],
    "power_limit_default_w": lambda nvml, gpu: nvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu) / 1000,
    "highest_clock": lambda nvml, gpu: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM),
    "boost_clock": lambda nvml, gpu: nvml.nvmlDeviceGetMaxCustomerBoostClock(gpu, nvml.NVML_CLOCK_GRAPHICS),
    "clock": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
    "power_w": lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    "temperature": lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
    "utilization": lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
    "performance_state": lambda nvml, gpu: nvml.nvmlDeviceGetPerformanceState(gpu),
    "event_reasons": lambda nvml, gpu: nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu),
    "counters": _counters,
    "recovery_action": _recovery_action,
    "fabric": _fabric,
    "inforom": _inforom,
    **nvlink_answers.FIELDS,
}
"""The fields of one GPU by our names. Clocks in MHz, power in W (NVML has mW), temperature in °C, memory in bytes.

Modes (`mig`, `ecc_mode`) are pairs: current, and pending until the next reset."""

HERE: dict[str, Read] = {
    "compute_processes": _compute_processes,
    "graphics_processes": _pids("nvmlDeviceGetGraphicsRunningProcesses"),
    "process_utilization": _process_utilization,
}
"""Who uses a GPU, by the driver that this process can ask: the host's ids, and percent by id."""
FIELDS |= {name: _from_outside(name, here) for name, here in HERE.items()}
FIELDS["foreign_processes"] = _from_outside("foreign_processes", _no_foreign)
PROCESSES = (*HERE, "foreign_processes")

GPU_IS_LOST = 15
UNUSABLE = (8, 11, GPU_IS_LOST, 16, 999)
"""Insufficient Power, Interrupt Request Issue, GPU Is Lost, Reset Required and Unknown, where a GPU is opened: it is
there and cannot be used. Any other error, such as of permission, says nothing about the GPU."""
NEEDED = ("product", "uuid", "compute_capability")
"""Fields of every GPU: refused with one of these errors, though not with Unknown, it cannot be used either."""

IDENTITY = ("product", "uuid", "compute_capability", "memory_total", "serial", "vbios")


def ask(nvml: Any, gpu: Any, fields: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Values of the fields that were `answered`; NVML's code and message of those `refused`."""
    return _asked(nvml, gpu, {name: FIELDS[name] for name in fields})


def ask_here(nvml: Any, gpu: Any) -> dict[str, dict[str, Any]]:
    """As `ask`, who uses a GPU by the driver that this process can ask."""
    return _asked(nvml, gpu, HERE)


def _asked(nvml: Any, gpu: Any, reads: dict[str, Read]) -> dict[str, dict[str, Any]]:
    answered, refused = {}, {}
    for name, read in reads.items():
        try:
            answered[name] = read(nvml, gpu)
        except nvml.NVMLError as error:
            refused[name] = {"code": error.value, "says": str(error)}
        except outside_view.Unseen as unseen:
            refused[name] = {"code": None, "says": str(unseen)}
    return {"answered": answered, "refused": refused}


def machine(nvml: Any) -> dict[str, Any]:
    """Versions, the identity of each GPU, and the refusals of unusable GPUs: one of them must not hide the others."""
    gpus, lost = {}, {}
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            answers = ask(nvml, nvml.nvmlDeviceGetHandleByIndex(index), IDENTITY)
        except nvml.NVMLError as error:
            if error.value not in UNUSABLE:
                raise
            lost[index] = {"code": error.value, "says": str(error)}
            continue
        refusals = answers["refused"].items()
        broken = [
            each
            for name, each in refusals
            if each["code"] == GPU_IS_LOST or (name in NEEDED and each["code"] in UNUSABLE[:-1])
        ]
        if broken:
            lost[index] = broken[0]
        else:
            gpus[index] = answers
    number = nvml.nvmlSystemGetCudaDriverVersion_v2()  # 13000 is 13.0
    cuda = f"{number // 1000}.{number % 1000 // 10}"
    return {"version": nvml.nvmlSystemGetDriverVersion(), "cuda": cuda, "gpus": gpus, "lost": lost}


def main(topic: str, *arguments: str) -> dict[str, Any]:
    """The answer to one question. Where NVML refuses altogether, that is its code and message."""
    import pynvml

    nvml = NamedCalls(pynvml)
    try:
        nvml.nvmlInit()
        if topic == "machine":
            return machine(nvml)
        index, *fields = arguments
        return ask(nvml, nvml.nvmlDeviceGetHandleByIndex(int(index)), tuple(fields))
    except pynvml.NVMLError as error:
        return {"code": error.value, "says": str(error)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
