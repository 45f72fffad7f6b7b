"""The NVLink fabric: whether each GPU that NVSwitch links to others has been admitted to it, and is healthy there.

Since Hopper a GPU registers with the fabric when its driver starts. Until the fabric manager has completed that, CUDA
refuses to start with error 802 (Fabric Manager User Guide; NVIDIA/gpu-operator#2781, NVIDIA/gpu-operator#2511). An A100
has a fabric manager too, and no state of its own: CUDA's error alone tells. The links come up without either.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.cuda_errors import BY_FABRIC
from dgxcert.machine.identity import Machine
from dgxcert.machine.nvml_errors import ABSENT, BY_RESET, BY_UPDATE
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import cuda_devices, nvml
from dgxcert.probes.links.nvlink_answers import UP

NO_FABRIC, COMPLETED, SUCCESS = "NOT_SUPPORTED", "COMPLETED", 0
NOT_READY = 802
"""cudaErrorSystemNotReady."""
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
    apart: tuple[int, ...] = ()
    """GPUs that have no fabric."""
    unknown: Mapping[int, str] = field(default_factory=dict)
    """Of these, those whose driver is older than the question, and its message."""

    @property
    def source(self) -> str:
        """What the driver says, as text for evidence.

        >>> Fabric((), {}, {}).source
        'NVML: no GPU of this machine has a fabric, or its driver reports none'
        >>> Fabric((0, 1), {1: "in progress"}, {}).source
        'NVML, of 2 GPUs with a fabric: GPU 1: in progress'
        >>> Fabric((), {0: "CUDA error 802"}, {}).source
        'NVML: no GPU of this machine has a fabric, or its driver reports none; GPU 0: CUDA error 802'
        """
        if not self.linked:
            waits = "".join(f"; GPU {index}: {said}" for index, said in sorted(self.waiting.items()))
            return f"NVML: no GPU of this machine has a fabric, or its driver reports none{waits}"
        found = [f"GPU {index}: {said}" for index, said in sorted({**self.waiting, **self.ill}.items())]
        return f"NVML, of {len(self.linked)} GPUs with a fabric: {', '.join(found) or 'none waits'}"

    @property
    def remedy(self) -> tuple[str, ...]:
        """The fabric manager's where GPUs wait for it or have none, a reset where the fabric is ill."""
        if self.waiting or (self.apart and not self.ill):
            return BY_FABRIC
        return tuple(step.replace("-i N", f"-i {index}") for index in list(self.ill)[:1] for step in ILL)

    def require_known(self, allowed: Limit) -> None:
        """Raise Inconclusive where GPUs must have a fabric and their driver is older than the question."""
        if self.unknown and allowed.max is not None and len(self.apart) > allowed.max:
            index, says = next(iter(self.unknown.items()))
            raise Inconclusive(f"the driver does not report the fabric of GPU {index}: {says}", *BY_UPDATE)


def read(machine: Machine) -> Fabric:
    """The fabric of each GPU. Raises Inconclusive without a GPU, and where the driver fails to tell."""
    if not machine.gpus:
        raise Inconclusive("the driver lists no GPU", "See GPU-PRESENT first.")
    answers = {gpu.index: nvml.ask(gpu.index, "fabric") for gpu in machine.gpus}
    told = {index: each.if_known("fabric") for index, each in answers.items()}
    linked = {index: fabric for index, fabric in told.items() if fabric and fabric["state"] != NO_FABRIC}
    apart = tuple(index for index in told if index not in linked)
    refusals = {index: answers[index].refused["fabric"] for index in apart if told[index] is None}
    waiting = {index: _words(each["state"]) for index, each in linked.items() if each["state"] != COMPLETED}
    if waiting and _needs_none(machine) and cuda_devices.read(machine).started == len(machine.gpus):
        waiting = {}
    faults = {index: faults_of(each) for index, each in linked.items() if each["state"] == COMPLETED}
    return Fabric(
        linked=tuple(linked),
        waiting=waiting or _refused_by_cuda(machine, apart),
        ill={index: said for index, said in faults.items() if said},
        apart=apart,
        unknown={index: each["says"] for index, each in refusals.items() if each["code"] in ABSENT},
    )


def _needs_none(machine: Machine) -> bool:
    """Whether these GPUs have no one to talk to over NVLink, as those that a host passes through (NVIDIA/nvrc#159)."""
    if len(machine.gpus) == 1:
        return True
    return bool(machine.virtual) and not any(link["state"] in UP for link in _links(gpu.index for gpu in machine.gpus))


def _links(indexes: Iterable[int]) -> list[dict[str, Any]]:
    return [link for index in indexes for link in nvml.ask(index, "nvlinks").answered.get("nvlinks", ())]


def _refused_by_cuda(machine: Machine, apart: tuple[int, ...]) -> dict[int, str]:
    """GPUs without a state of their own that wait for the fabric manager all the same, as CUDA alone says (A100).

    Asked only where their links lead to a switch, or are all down: a start of CUDA takes seconds.
    """
    if len(apart) < 2 or len(apart) < len(machine.gpus):
        return {}
    links = _links(apart)
    switched = any(link["remote"] == "SWITCH" for link in links) or not any(link["state"] in UP for link in links)
    if not links or not switched or cuda_devices.read(machine).error != NOT_READY:
        return {}
    return dict.fromkeys(apart, f"CUDA error {NOT_READY}, system not yet initialized: no fabric manager has run")


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
