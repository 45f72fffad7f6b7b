"""The NVLink fabric: whether each GPU that NVSwitch links to others has been admitted to it, and is healthy there.

Since Hopper a GPU registers with the fabric when its driver starts. Until the fabric manager has completed that, CUDA
refuses to start with error 802 (Fabric Manager User Guide; NVIDIA/gpu-operator#2781, NVIDIA/gpu-operator#2511).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dgxcert.machine.cuda_errors import BY_FABRIC
from dgxcert.machine.identity import Machine
from dgxcert.machine.nvml_errors import BY_RESET
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import cuda_devices, nvml

NO_FABRIC, COMPLETED, SUCCESS = "NOT_SUPPORTED", "COMPLETED", 0
SOUND = {
    "INCORRECT_CONFIGURATION": {"NOT_SUPPORTED", "NONE"},
    "PARTITION_ASSIGNED": {"NOT_SUPPORTED", "TRUE"},
    "GFM_STATE": {"NOT_SUPPORTED", "CONNECTED"},
    "SUMMARY": {"NOT_SUPPORTED", "HEALTHY"},
}
"""Part of the health: its values of a healthy GPU. Every other part says TRUE where something is wrong."""
ILL = (
    "Read which part is ill: nvidia-smi -q | grep -A 16 Fabric; nvidia-smi nvlink --status",
    "Read what the fabric manager says about it: journalctl -u nvidia-fabricmanager; sudo dmesg | grep -iE 'nvrm|sxid'",
    *BY_RESET[:3],
    "Open a hardware case with this run folder if it is ill again.",
)


@dataclass(frozen=True)
class Fabric:
    """The GPUs that a fabric links; of these, by GPU, what those wait for that are not admitted, and what is ill."""

    linked: tuple[int, ...]
    waiting: Mapping[int, str]
    ill: Mapping[int, str]

    @property
    def source(self) -> str:
        """What the driver says, as text for evidence.

        >>> Fabric((), {}, {}).source
        'NVML: no GPU of this machine has a fabric, or its driver reports none'
        >>> Fabric((0, 1), {1: "in progress"}, {}).source
        'NVML, of 2 GPUs with a fabric: GPU 1: in progress'
        """
        if not self.linked:
            return "NVML: no GPU of this machine has a fabric, or its driver reports none"
        found = [f"GPU {index}: {said}" for index, said in sorted({**self.waiting, **self.ill}.items())]
        return f"NVML, of {len(self.linked)} GPUs with a fabric: {', '.join(found) or 'none waits'}"

    @property
    def remedy(self) -> tuple[str, ...]:
        """The fabric manager's where GPUs wait for it, a reset where the fabric is ill."""
        if self.waiting:
            return BY_FABRIC
        return tuple(step.replace("-i N", f"-i {index}") for index in list(self.ill)[:1] for step in ILL)


def read(machine: Machine) -> Fabric:
    """The fabric of each GPU. Raises Inconclusive without a GPU, and where the driver fails to tell."""
    if not machine.gpus:
        raise Inconclusive("the driver lists no GPU", "See GPU-PRESENT first.")
    told = {gpu.index: nvml.ask(gpu.index, "fabric").if_known("fabric") for gpu in machine.gpus}
    linked = {index: fabric for index, fabric in told.items() if fabric and fabric["state"] != NO_FABRIC}
    waiting = {index: _words(each["state"]) for index, each in linked.items() if each["state"] != COMPLETED}
    if len(machine.gpus) == 1 and waiting and cuda_devices.read(machine).started:
        waiting = {}  # a GPU that a host passes through alone has no one to talk to: NVIDIA/nvrc#159
    faults = {index: faults_of(each) for index, each in linked.items() if each["state"] == COMPLETED}
    return Fabric(tuple(linked), waiting, {index: said for index, said in faults.items() if said})


def faults_of(fabric: Mapping[str, Any]) -> str:
    """What is wrong with a GPU in the fabric; empty where nothing is.

    >>> faults_of({"state": "COMPLETED", "status": 0, "health": {"DEGRADED_BW": "TRUE", "ROUTE_UNHEALTHY": "FALSE"}})
    'degraded bw'
    >>> faults_of({"state": "COMPLETED", "status": 0, "health": {"INCORRECT_CONFIGURATION": "INSUFFICIENT_NVLINKS"}})
    'incorrect configuration: insufficient nvlinks'
    """
    found = [] if fabric["status"] == SUCCESS else [f"registered with error {fabric['status']}"]
    for part, value in fabric["health"].items():
        if part in SOUND and value not in SOUND[part]:
            found.append(f"{_words(part)}: {_words(value)}")
        elif part not in SOUND and value == "TRUE":
            found.append(_words(part))
    return "; ".join(found)


def _words(name: str) -> str:
    return name.replace("_", " ").lower()
