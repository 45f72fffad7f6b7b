"""Peers: which GPUs may read and write one another's memory, by the driver.

GPUs of desktops may not, nor may most in a virtual machine, whose chipset the driver does not know (`CNS` of
nvidia-smi): they copy through the host's memory, slowly and right. GPUs that NVLink joins always may.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.cuda_errors import BY_FABRIC
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Machine
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml

OK, UNKNOWN = "OK", "UNKNOWN"
REMEDY = (
    "Read which pair may not, and why: nvidia-smi topo -p2p r; nvidia-smi topo -p2p w; nvidia-smi topo -m",
    "Look for settings that switch it off: cat /proc/driver/nvidia/params | grep -i RegistryDwords; "
    "env | grep -i NCCL_P2P",
    *BY_FABRIC[:5],
    Trait.VIRTUAL.only(
        "Ask who runs its host: GPUs reach one another there only if it says so (x-nv-gpudirect-clique)."
    ),
    Trait.PHYSICAL.only("Switch ACS and the IOMMU off in the firmware's setup, for GPUs that PCIe joins."),
)


@dataclass(frozen=True)
class Peers:
    """What the driver says of each pair of GPUs in each direction: `read`, `write` and `nvlink`, OK or the reason."""

    pairs: Mapping[tuple[int, int], Mapping[str, str]]
    unknown: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Pairs about which it says nothing, and its message."""
    divided: tuple[int, ...] = ()

    @property
    def apart(self) -> dict[tuple[int, int], str]:
        """Pairs in which one may not read or write the other, and why, lower index first.

        >>> Peers({(0, 1): {"read": "OK", "write": "OK"}, (1, 0): {"read": "OK", "write": "GPU_NOT_SUPPORTED"}}).apart
        {(0, 1): 'write: gpu not supported'}
        """
        found: dict[tuple[int, int], str] = {}
        for pair, said in self.pairs.items():
            refused = [f"{name}: {_words(said[name])}" for name in ("read", "write") if said[name] != OK]
            if refused:
                found.setdefault(_ordered(pair), ", ".join(refused))
        return found

    @property
    def apart_on_nvlink(self) -> dict[tuple[int, int], str]:
        """Those that NVLink joins all the same, in one direction or both."""
        joined = {_ordered(pair) for pair, said in self.pairs.items() if said.get("nvlink") == OK}
        return {pair: why for pair, why in self.apart.items() if pair in joined}

    @property
    def source(self) -> str:
        """What the driver says, as text for evidence.

        >>> Peers({(0, 1): {"read": "OK", "write": "OK"}, (1, 0): {"read": "OK", "write": "OK"}}).source
        'NVML: 1 pair, each may read and write the other'
        """
        pairs = {_ordered(pair) for pair in self.pairs}
        left_out = "".join(f"; GPU {index} is divided by MIG and left out" for index in self.divided)
        if not self.pairs and self.unknown:
            return f"NVML: {next(iter(self.unknown.values()))}{left_out}"
        named = [f"{_names(pair)} ({why})" for pair, why in sorted(self.apart.items())[:6]]
        more = f" and {len(self.apart) - 6} more" if len(self.apart) > 6 else ""
        said = f"not {', '.join(named)}{more}" if named else "each may read and write the other"
        return f"NVML: {len(pairs)} pair{'' if len(pairs) == 1 else 's'}, {said}{left_out}"

    def require_known(self, allowed: Limit) -> None:
        """Raise Inconclusive where the driver says nothing about a pair, and more than are allowed may be apart."""
        pairs = {_ordered(pair) for pair in self.unknown} | set(self.apart)
        if self.unknown and allowed.max is not None and len(pairs) > allowed.max:
            pair, says = next(iter(self.unknown.items()))
            raise Inconclusive(
                f"the driver does not say whether {_names(pair)} may reach one another: {says}",
                "Run `nvidia-smi topo -p2p r` and read what it says of that pair.",
            )


def read(machine: Machine) -> Peers:
    """What the driver says of all pairs. Raises Inconclusive without two GPUs, and where it fails to tell."""
    if len(machine.gpus) < 2:
        raise Inconclusive("the driver lists fewer than two GPUs", "See GPU-PRESENT first.")
    return parse({gpu.index: nvml.ask(gpu.index, "peers", "mig") for gpu in machine.gpus})


def parse(answers: Mapping[int, Answers]) -> Peers:
    """All pairs of GPUs. Raises Inconclusive where MIG leaves none, and where one is refused for another reason.

    >>> said = {"read": "OK", "write": "OK", "nvlink": "OK"}
    >>> parse({0: Answers(0, {"peers": {"1": said}}), 1: Answers(1, {"peers": {"0": said}})}).apart
    {}
    """
    divided = tuple(index for index, each in answers.items() if (each.answered.get("mig") or [False])[0])
    whole = [index for index in answers if index not in divided]
    if len(whole) < 2:
        raise Inconclusive("MIG divides the GPUs, which reach no other then", "See GPU-MIG first.")
    pairs: dict[tuple[int, int], Mapping[str, str]] = {}
    unknown: dict[tuple[int, int], str] = {}
    for index in whole:
        told: Mapping[str, Any] | None = answers[index].if_known("peers")
        for other in whole:
            said = (told or {}).get(str(other)) if other != index else None
            if said and {said.get("read"), said.get("write")} - {OK} == {UNKNOWN}:
                unknown[index, other] = _words(UNKNOWN)
            elif said and "read" in said:
                pairs[index, other] = said
            elif other != index:
                refusal = answers[index].refused.get("peers", {}) if told is None else said or {}
                unknown[index, other] = str(refusal.get("says", "no answer"))
    return Peers(pairs, unknown, divided)


def _ordered(pair: Iterable[int]) -> tuple[int, int]:
    first, second = sorted(pair)
    return first, second


def _names(pair: tuple[int, int]) -> str:
    return f"GPU {pair[0]} and GPU {pair[1]}"


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()
