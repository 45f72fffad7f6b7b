"""Collectives: all ranks of a machine prove and time what they do together; what they say is put together here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dgxcert.judgement.benchmark_cases import COLLECTIVES
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.units import OF_ROUNDING
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine
from dgxcert.profiles.workload_sizes import Collectives
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.distributed.rank import Rank

PROOF_LIMIT_S = 150.0
"""Sixteen processes start torch, make a context and join each other in about 40 s on a slow disk; the rest computes."""
SHOWN = 4


@dataclass(frozen=True)
class Proof:
    """What the ranks found: each part with a description for evidence."""

    misplaced: tuple[str, ...]
    wrong: int
    findings: tuple[str, ...]
    compared: int
    rounding: float
    rounded: str
    """The operation and the rank of the largest error."""
    apart: tuple[str, ...]
    """Ranks whose bits of the same sum differ from those that most ranks have."""

    @property
    def places(self) -> str:
        """Which rank is not on its device, for evidence."""
        return "; ".join(self.misplaced) or "the device that each process works on, as it says itself"

    @property
    def found(self) -> str:
        """What is wrong in which result, for evidence."""
        told = f": {'; '.join(self.findings[:SHOWN])}" if self.findings else ""
        return f"{self.compared} integers of {', '.join(COLLECTIVES)}, every element compared{told}"

    @property
    def difference(self) -> str:
        """Which ranks hold other bits of the same sum, for evidence."""
        told = f": {', '.join(self.apart)}" if self.apart else ""
        return f"all_reduce in bf16, its bits on every rank{told}"


def sum_tolerance() -> Limit:
    """Limit of the error of a sum in bf16, in what rounding explains at most.

    >>> sum_tolerance().max
    1.05
    """
    source = "each addition rounds to 8 bits, at most by 2^-8 of the magnitudes; rounded sums are rounded again"
    return Limit(name="tolerance of sums in bf16", max=1.05, unit=OF_ROUNDING, source=source)


def prove(devices: Sequence[Device], machine: Machine, sizes: Collectives) -> Proof:
    """Every collective on integers and in bf16, on all devices. Raises what `launch.run` raises."""
    settings = {"counts": list(sizes.counts), "bf16_count": sizes.bf16_count}
    return put_together(devices, machine, launch.run("distributed.proof", devices, settings, limit_s=PROOF_LIMIT_S))


def put_together(devices: Sequence[Device], machine: Machine, said: Sequence[dict[str, Any]]) -> Proof:
    """What the ranks said, as one proof; pure."""
    names = [Rank(index, tuple(devices)).name for index in range(len(devices))]
    expected = [_expected(device, machine) for device in devices]
    misplaced = tuple(
        f"{name} works on {_place(each['device'], machine)}"
        for name, each, wanted in zip(names, said, expected, strict=True)
        if each["device"] != wanted
    )
    rounding, rounded = max(
        (error, f"{operation} on {name}")
        for name, each in zip(names, said, strict=True)
        for operation, error in each["bf16"].items()
    )
    bits = [each["bits"] for each in said]
    usual = max(bits, key=bits.count)
    return Proof(
        misplaced,
        sum(each["wrong"] for each in said),
        tuple(
            f"{finding['operation']} of {finding['count']} integers: {finding['text']}"
            for each in said
            for finding in each["findings"]
        ),
        sum(each["compared"] for each in said),
        rounding,
        rounded,
        tuple(name for name, each in zip(names, bits, strict=True) if each != usual),
    )


def _expected(device: Device, machine: Machine) -> str:
    """What a rank says of its place when it is on its device."""
    if device.kind != "cuda":
        return f"rank {device.index}"
    return next((gpu.uuid for gpu in machine.gpus if gpu.index == device.index), f"GPU {device.index}, not listed")


def _place(said: str, machine: Machine) -> str:
    """The number of the GPU that a rank is on, where the driver lists it."""
    return next((f"GPU {gpu.index}" for gpu in machine.gpus if gpu.uuid == said), said)
