"""What one end of a pair answers: what it is, what it saw on its link, and what both ends did together.

Each of two machines writes one, and neither says whether the pair passed: `room.pairs` judges both answers. An end
whose work did not come to an end says in `stopped` at which phase that was, and everything before it is kept.
"""

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, ValidationError

from dgxcert.console import on_one_line
from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.judgement.evidence import Evidence
from dgxcert.outcome import CannotStart
from dgxcert.record.room import document
from dgxcert.record.run import Moment

AT_MOST = 16 * MIB
"""The largest answer that is read: one with the digests of an 8 B model's tensors has a tenth of one MiB."""
SHOWN = 200


class Part(document.Part):
    """A part of an answer, without unknown fields, and without numbers that are none."""

    model_config = ConfigDict(allow_inf_nan=False)


class Counters(Part):
    """What a network interface or a port of an RDMA device has counted since it came up."""

    name: str
    """`enp1s0f0np0`, or `rocep1s0f0/1` for port 1 of an RDMA device."""
    kind: Literal["net", "infiniband"]
    received_bytes: int
    sent_bytes: int
    others: dict[str, int] = {}
    """Errors, drops and packets by the kernel's names, such as `rx_crc_errors` and `symbol_error`."""


class Port(Part):
    """One network interface of this end, which may be one half of a port; what could not be read is None or ""."""

    interface: str
    up: bool | None = None
    carrier: bool | None = None
    gbits: float | None = None
    """What the link was negotiated to, in Gbit/s."""
    mtu: int | None = None
    addresses: tuple[str, ...] = ()
    """With their prefix: `192.168.100.1/24`."""
    mac: str = ""
    driver: str = ""
    firmware: str = ""
    function: str = ""
    """Its PCIe address, `0000:01:00.0`."""
    pcie_gts: float | None = None
    """The speed of a lane in GT/s, as it is now."""
    pcie_width: int | None = None
    pcie_most_gts: float | None = None
    pcie_most_width: int | None = None
    hca: str = ""
    """The RDMA device of the same function, `rocep1s0f0`."""
    hca_state: str = ""
    """`ACTIVE`, `DOWN`."""
    hca_gbits: float | None = None
    asked: bool = False
    """Whether it is one that the lab wrote for this link; others are read to see who else carried the bytes."""


class LinkFacts(Part):
    """What one end is, as its kernel says it."""

    ports: tuple[Port, ...] = ()
    bios: str = ""
    bios_date: str = ""
    """As the firmware writes it: `04/15/2026`."""
    product: str = ""
    kernel: str = ""


class Versions(Part):
    """What both ends must have alike: NCCL of two versions joins badly or not at all."""

    dgxcert: str
    suite: str
    """SHA-256 of the package that works, `plan.suite`'s."""
    python: str
    torch: str
    nccl: str = ""
    """"" where torch has none, as on a CPU."""
    driver: str = ""
    accelerator: str
    """The name of the GPU, or `CPU`."""


class Plan(Part):
    """What both ends do: the same on both, or they do not begin."""

    profile: str
    backend: Literal["gloo", "nccl"]
    seed: int
    operations: tuple[str, ...]
    smallest_bytes: int
    largest_bytes: int
    """The most that is asked for; what is sent is never more than both ends' memory allows."""
    limit_s: float


class Swept(Part):
    """How long one operation takes on one size: the median, on the slower end."""

    size_bytes: int
    seconds: float
    gbs: float
    """Bus bandwidth in GB/s, as nccl-tests counts it."""


class Speed(Part):
    """One operation of both ends, timed on growing sizes and then in rounds on the size of its plateau."""

    operation: str
    """`forth` (rank 0 sends to rank 1) and `back`, or one of `judgement.benchmark_cases.COLLECTIVES`."""
    swept: tuple[Swept, ...]
    """From small to large."""
    plateau_bytes: int
    rounds_s: tuple[float, ...]
    """Seconds of each round on the plateau, on the slower end; of rank 0 only, which counts them."""
    gbs: float | None = None
    """Bus bandwidth of the median round; None on rank 1."""
    wrong: int
    """Elements of this end's last result that are wrong."""
    algorithm: str = ""
    """As NCCL's log names it, `gloo` on a CPU, `p2p` for what NCCL chooses no algorithm for; "" where it is unknown."""
    how: str = ""
    """NCCL's version, protocol, channels and transports in words."""
    disturbed: str = ""
    """Who else used this end's GPU meanwhile, or why that is not known; "" where nobody did."""


class Exactness(Part):
    """Whether what arrived is what was sent: integers that name their origin, and sums in bf16."""

    compared: int
    """Elements."""
    wrong: int
    """Blocks of results in which an element is wrong."""
    findings: tuple[str, ...] = ()
    """`all_gather of 1048576 integers: spark-02 got in run 3: …`: the first ones."""
    rounding: float
    """The largest error of a sum in bf16, in what rounding explains: more than 1.05 is wrong."""
    bits: str
    """A digest of the sum in bf16, which must be the same on both ends."""


class Nccl(Part):
    """What NCCL's own log says of how it joined the ends."""

    version: str = ""
    hcas: tuple[str, ...] = ()
    """RDMA devices with port, `rocep1s0f0:1`, that it uses; none where it goes over sockets."""
    interfaces: tuple[str, ...] = ()
    """Network interfaces, for its bootstrap and where it goes over sockets."""
    network: str = ""
    """`IB`, `Socket` or a plugin's name; "" where its log does not say it."""
    transports: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Training(Part):
    """DistributedDataParallel with LoRA over both ends."""

    compared: tuple[Evidence, ...]
    """What was compared with one device on the rows of both, and with which limits; both ends know the same."""
    wrong: bool
    """Whether one of the comparisons does not hold."""
    weights: dict[str, str]
    """A digest of every tensor after the last step on this end, which must be those of the other."""
    alone: float
    """Steps per second of this end by itself."""
    together: float
    """Steps per second of both together, as this end timed them."""
    losses: tuple[float, ...]
    model: str
    """What was trained, in words."""


class Stopped(Part):
    """Why the work of this end did not come to its end."""

    phase: str
    """What it was at: `greeting the other end`, `exactness: all_gather of 4096 integers`."""
    kind: Literal["wrong", "inconclusive"]
    problem: str
    remedy: tuple[str, ...] = ()


class Took(Part):
    """One phase, and how long it took."""

    phase: str
    seconds: float


class Wire(Part):
    """One end of ib_write_bw of perftest, where it is installed."""

    hcas: tuple[str, ...]
    """One half, or both at once."""
    gbits: float
    size_bytes: int
    says: str = ""
    """What kept it from measuring; "" where it did."""


class PairAnswer(Part):
    """The whole answer of one end."""

    format: Literal[1] = 1
    rank: Literal[0, 1]
    host: str
    """The name of this end, as the lab's inventory has it."""
    peer_host: str
    address: str
    """Of this end's link."""
    peer: str
    """The address of the other end's."""
    began: Moment
    ended: Moment
    plan: Plan
    runtime: Literal["container", "native"]
    image: str = ""
    """The id of the image; "" natively."""
    versions: Versions | None = None
    """None where it did not get so far."""
    peer_versions: Versions | None = None
    """As the other end said them when both met."""
    facts: LinkFacts = LinkFacts()
    before: tuple[Counters, ...] = ()
    """Of every interface and RDMA port of the machine, so that it is seen which one carried the bytes."""
    after: tuple[Counters, ...] = ()
    exactness: Exactness | None = None
    speeds: tuple[Speed, ...] = ()
    """Those that were measured, in the order of the plan."""
    training: Training | None = None
    nccl: Nccl | None = None
    """None with gloo."""
    wires: tuple[Wire, ...] = ()
    environment: dict[str, str] = {}
    """Variables of NCCL, gloo and UCX that the ranks had."""
    took: tuple[Took, ...] = ()
    stopped: Stopped | None = None
    """None only where everything in the plan was done."""

    @property
    def complete(self) -> bool:
        """Whether everything that was planned was done: an answer that is cut off is none."""
        done = tuple(speed.operation for speed in self.speeds)
        return (
            self.stopped is None
            and self.versions is not None
            and self.exactness is not None
            and self.training is not None
            and done == self.plan.operations
        )


def load(path: Path) -> PairAnswer:
    """Read an answer. Raises CannotStart where it is missing, cut off or not valid."""
    try:
        return PairAnswer.model_validate_json(untrusted.read_bytes(path, AT_MOST))
    except OSError as error:
        raise CannotStart(
            f"The answer {path} cannot be read: {error.strerror}.", "Look at what that end printed: its log."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CannotStart(
            f"{path} is no whole answer of one end: {place}: {on_one_line(first['msg'])[:SHOWN]}.",
            "Test the pair again; an end that was cut off has said nothing.",
        ) from error
