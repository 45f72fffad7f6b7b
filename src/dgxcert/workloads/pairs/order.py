"""The order of one end: who it is, who the other end is, over what they meet, and what they do together."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dgxcert.files import atomic
from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.machine.identity import MemoryKind
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Collectives, Timing
from dgxcert.record.room import pair_answer
from dgxcert.record.room.pair_answer import Part
from dgxcert.workloads.distributed import operations, proof
from dgxcert.workloads.training.data_parallel.noted import Plan

NAME = "order.json"
MOST_MIB = 512
"""The largest message: a healthy link has reached its plateau far below it, and 16 GiB have frozen machines whose GPU
shares the system's memory."""
OPERATIONS = (operations.FORTH, operations.BACK, "sendrecv", "all_gather", "all_reduce")
"""In the order in which they are timed: one direction, the other, and then both at once."""


class OrderedDevice(Part):
    """The device of either end, as `machine.device.Device` has it."""

    kind: Literal["cuda", "cpu"]
    index: int
    product: str
    memory: MemoryKind
    margin_gib: float

    @property
    def device(self) -> Device:
        """The device itself."""
        return Device(self.kind, self.index, self.product, self.memory, self.margin_gib)


class Order(Part):
    """What one end is told."""

    rank: Literal[0, 1]
    host: str
    peer_host: str
    address: str
    peer: str
    port: int = Field(ge=1, le=65535)
    """Where rank 0 waits for rank 1."""
    meeting: str
    """What both ends of one test are told alike, and no other: an end that was left over from another is no partner."""
    interfaces: tuple[str, ...] = Field(min_length=1)
    """Of this end's link, the first one of `address`."""
    hcas: tuple[str, ...] = ()
    """RDMA devices of these interfaces."""
    patience_s: float = Field(gt=0)
    """How long the other end may take to come."""
    limit_s: float = Field(gt=0)
    """After how long everything is ended."""
    profile: str
    device: OrderedDevice
    driver: str = ""
    collectives: Collectives
    timing: Timing
    training: Plan
    size: Limit
    direction: Limit
    """Of exchanged gradients in fp32: `training.size.fp32` and `training.direction.fp32` of the profile."""

    @property
    def hosts(self) -> tuple[str, str]:
        """Both machines in the order of ranks."""
        return (self.host, self.peer_host) if self.rank == 0 else (self.peer_host, self.host)

    @property
    def plan(self) -> pair_answer.Plan:
        """What both ends must be told alike."""
        return pair_answer.Plan(
            profile=self.profile,
            backend="nccl" if self.device.kind == "cuda" else "gloo",
            seed=proof.SEED,
            operations=OPERATIONS,
            smallest_bytes=self.collectives.smallest_bytes,
            largest_bytes=self.largest_bytes,
            limit_s=self.limit_s,
        )

    @property
    def largest_bytes(self) -> int:
        """The largest message; what does not fit beside the margin of either end is not sent."""
        return min(self.collectives.largest_mib, MOST_MIB) * 2**20

    def write(self, folder: Path) -> None:
        """Keep it in the folder of this end's work."""
        atomic.write_text(folder / NAME, self.model_dump_json())

    @classmethod
    def read(cls, folder: Path) -> "Order":
        """The order of a folder."""
        return cls.model_validate_json((folder / NAME).read_bytes())


def of(profile: Profile, device: Device, **told: Any) -> Order:
    """The order of one end: the sizes and limits of a profile, the device, and what else it is `told`."""
    return Order(
        **told,
        profile=profile.name,
        device=OrderedDevice(
            kind=device.kind,
            index=device.index,
            product=device.product,
            memory=device.memory,
            margin_gib=device.margin_gib,
        ),
        collectives=profile.workloads.collectives,
        timing=profile.workloads.timing,
        training=_training(profile),
        size=profile.limit("training.size.fp32"),
        direction=profile.limit("training.direction.fp32"),
    )


def _training(profile: Profile) -> Plan:
    """The LoRA training of a profile, as one machine's GPUs do it together."""
    sizes = profile.workloads.data_parallel
    return Plan(
        model=sizes.model or profile.workloads.lora.large,
        precision="bf16" if profile.uses_gpu else "fp32",
        compile=profile.workloads.lora.compile,
        ours=(1, 1),
        **sizes.model_dump(exclude={"model"}),
    )
