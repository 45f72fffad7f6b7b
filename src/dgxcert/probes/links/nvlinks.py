"""NVLinks: which of each GPU's are up, at which speed, and where those lead that are down.

A GPU has as many links as its chip; which of them are wired is the machine's: 12 of 18 on an H100 PCIe with three
bridges (Azure/azurehpc-health-checks#162), none without (NVIDIA/DCGM#49). So only a profile can say how many must be
up; without one, GPUs of one model are compared with each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.links.nvlink_answers import UP

TRAINED_S = 300.0
"""Links are down for a while after each start of a machine, until they have been trained (NVIDIA/NVSentinel#1701)."""
SHARE = 0.99
"""Of the fastest link; figures of one speed are rounded alike."""
MOST_NAMED = 6
"""Links that a report names one by one."""
FAR_ENDS = {"SWITCH": "an NVSwitch", "GPU": "a GPU", "IBMNPU": "the CPU"}

RESET_ALL = (
    "Stop all programs on the GPUs (nvidia-smi lists them), and what keeps them open: sudo nvidia-smi -pm 0",
    "Reset all GPUs of the fabric together, since NVLink joins them: sudo nvidia-smi --gpu-reset",
    "Restart the machine if they cannot be reset, or if that is not enough: sudo reboot",
    "Keep the driver loaded again afterwards: sudo nvidia-smi -pm 1",
)
DOWN = (
    "List the links and where they lead: nvidia-smi nvlink --status; nvidia-smi nvlink --remotelinkinfo",
    "Read what the driver and the fabric manager say: sudo dmesg -T | grep -iE 'nvrm|xid|sxid|nvlink'; "
    "journalctl -u nvidia-fabricmanager",
    *RESET_ALL,
    Trait.VIRTUAL.only("Ask who runs its host: it decides which links a virtual machine has."),
    Trait.CARD.only("Shut down, and reseat the cards and the NVLink bridges between them."),
    "Open a hardware case with this run folder if a link stays down.",
)
SLOW = (
    "Read the speed of each link: nvidia-smi nvlink --status",
    "Read what the driver says about it: sudo dmesg -T | grep -iE 'nvrm|xid|sxid|nvlink'",
    *RESET_ALL,
    Trait.CARD.only("Shut down, and reseat the cards and the NVLink bridges between them."),
    "Open a hardware case with this run folder if a link stays slow.",
)


@dataclass(frozen=True)
class Link:
    """One NVLink of a GPU.

    >>> Link(3, 5, "INACTIVE", remote="SWITCH", remote_pci="00000000:07:00.0").description
    'GPU 3 link 5 inactive, to an NVSwitch at 00000000:07:00.0'
    """

    gpu: int
    number: int
    state: str = "ACTIVE"
    gbs: float | None = None
    """GB/s each way; None where it is down or the driver does not report it."""
    remote: str | None = None
    remote_pci: str | None = None

    @property
    def up(self) -> bool:
        """Whether it carries data, or sleeps until there is some."""
        return self.state in UP

    @property
    def name(self) -> str:
        """`GPU 3 link 5`."""
        return f"GPU {self.gpu} link {self.number}"

    @property
    def description(self) -> str:
        """Its name, state and far end."""
        place = f" at {self.remote_pci}" if self.remote_pci else ""
        end = f", to {FAR_ENDS.get(self.remote or '', 'what it joins')}{place}" if self.remote or place else ""
        return f"{self.name} {self.state.replace('_', ' ').lower()}{end}"


@dataclass(frozen=True)
class NvLinks:
    """The links of each GPU by its index; without GPUs that MIG divides, which have no links to others."""

    gpus: Mapping[int, tuple[Link, ...]]
    products: Mapping[int, str] = field(default_factory=dict)
    silent: Mapping[int, str] = field(default_factory=dict)
    """What the driver says of GPUs whose links it does not report. They have none here."""
    divided: tuple[int, ...] = ()
    uptime_s: float | None = None

    @property
    def up(self) -> dict[int, tuple[Link, ...]]:
        """The links that are up."""
        return {index: tuple(link for link in links if link.up) for index, links in self.gpus.items()}

    @property
    def fewest(self) -> int:
        """Links that are up on the GPU with the fewest.

        >>> NvLinks({0: (Link(0, 0), Link(0, 1)), 1: (Link(1, 0), Link(1, 1, "INACTIVE"))}).fewest
        1
        """
        return min((len(links) for links in self.up.values()), default=0)

    @property
    def behind(self) -> dict[int, int]:
        """GPUs with fewer links up than others of their model, and how many fewer.

        A GPU without any is behind only where the others' lead to a switch: bridges join two cards, and leave a third.
        """
        missing = {}
        for index, links in self.up.items():
            like = [self.up[other] for other in self.up if self._model(other) == self._model(index)]
            most = max(like, key=len)
            if len(links) < len(most) and (links or any(link.remote == "SWITCH" for link in most)):
                missing[index] = len(most) - len(links)
        return missing

    @property
    def slow(self) -> tuple[Link, ...]:
        """Links that are up and slower than the fastest of their GPU's model."""
        fastest: dict[str, float] = {}
        for index, links in self.up.items():
            fastest[self._model(index)] = max([fastest.get(self._model(index), 0), *_speeds(links)])
        return tuple(
            link
            for index, links in self.up.items()
            for link in links
            if link.gbs is not None and link.gbs < SHARE * fastest[self._model(index)]
        )

    @property
    def slowest(self) -> float | None:
        """GB/s each way of the slowest link that is up; None where none is, or no speed is reported."""
        return min(_speeds(link for links in self.up.values() for link in links), default=None)

    def describe(self, wanted: float = 0) -> str:
        """How many are up, and of GPUs with fewer than wanted, or than others, which are not.

        >>> NvLinks({0: (Link(0, 0),), 1: (Link(1, 0),)}).describe()
        'NVML: 1 link up on each of 2 GPUs'
        >>> NvLinks({0: (Link(0, 0),), 1: (Link(1, 0, "INACTIVE"),)}).describe()
        'NVML: 0 to 1 link up: GPU 1 link 0 inactive'
        >>> NvLinks({0: (), 1: ()}, silent={0: "Not Supported"}).describe()
        'NVML: no NVLink (GPU 0: Not Supported)'
        """
        silent = "; ".join(f"GPU {index}: {says}" for index, says in self.silent.items())
        left_out = f"; divided by MIG and left out: {_names(self.divided)}" if self.divided else ""
        if not any(self.gpus.values()):
            return f"NVML: no NVLink{f' ({silent})' if silent else ''}{left_out}"
        counts = [len(links) for links in self.up.values()]
        few, most = min(counts), max(counts)
        short = [index for index, links in self.up.items() if len(links) < max(most, wanted, 1)]
        down = [link.description for index in short for link in self.gpus[index] if not link.up]
        more = f" and {len(down) - MOST_NAMED} more" if len(down) > MOST_NAMED else ""
        number = f"{_links(few)} up on each of {len(counts)} GPUs" if few == most else f"{few} to {_links(most)} up"
        return f"NVML: {number}{': ' if down else ''}{'; '.join(down[:MOST_NAMED])}{more}{left_out}"

    @property
    def slow_source(self) -> str:
        """Which links are slower than others, as text for evidence.

        >>> NvLinks({0: (Link(0, 0, gbs=26.562), Link(0, 1, gbs=13.281))}).slow_source
        'NVML, each way: GPU 0 link 1 at 13.281 GB/s'
        """
        named = [f"{link.name} at {link.gbs:g} GB/s" for link in self.slow[:MOST_NAMED]]
        return f"NVML, each way: {', '.join(named) or 'all links that are up, alike'}"

    def require_known(self, wanted: Limit) -> None:
        """Raise Inconclusive where links must be up, and the driver does not report them, or may still train them."""
        if not wanted.min or self.fewest >= wanted.min:
            return
        if self.silent:
            index, says = next(iter(self.silent.items()))
            raise Inconclusive(
                f"the driver does not report the NVLinks of GPU {index}: {says}",
                "Run `nvidia-smi nvlink --status` and read what it says of that GPU.",
                Trait.VIRTUAL.only("Ask who runs its host: it decides which links a virtual machine has."),
            )
        self.require_trained()

    def require_speed(self, count: Limit) -> None:
        """Raise Inconclusive where links are up without a reported speed, or none is where some must be."""
        if self.slowest is None and (count.min or any(self.up.values())):
            raise Inconclusive(
                f"no speed of an NVLink is known: {self.describe(count.min or 0)}",
                "See NVLINK-COUNT first.",
                "Run `nvidia-smi nvlink --status` and read the speeds.",
            )

    def require_all_speeds(self) -> None:
        """Raise Inconclusive where a link is up without a reported speed, which may be lower than the others'."""
        up = [link for links in self.up.values() for link in links]
        unknown = [link.name for link in up if link.gbs is None]
        if unknown:
            raise Inconclusive(
                f"no speed of an NVLink is known of {len(unknown)} of {len(up)}: {', '.join(unknown[:MOST_NAMED])}",
                "Run `nvidia-smi nvlink --status` and read the speeds.",
            )

    def require_trained(self) -> None:
        """Raise Inconclusive where the machine has been started so lately that links may not have come up yet."""
        if self.uptime_s is not None and self.uptime_s < TRAINED_S:
            raise Inconclusive(
                f"links are down {self.uptime_s:.0f} s after the start, and may still be trained: {self.describe()}",
                "Wait until the machine has been up for five minutes, then run this again.",
            )

    def _model(self, index: int) -> str:
        return self.products.get(index, "")


def read(machine: Machine) -> NvLinks:
    """The links of each GPU. Raises Inconclusive without a GPU, and where the driver fails to tell."""
    if not machine.gpus:
        raise Inconclusive("the driver lists no GPU", "See GPU-PRESENT first.")
    answers = {gpu.index: nvml.ask(gpu.index, "nvlinks", "mig") for gpu in machine.gpus}
    return parse(answers, machine.gpus, machine.uptime_s)


def parse(answers: Mapping[int, Answers], gpus: Iterable[Gpu], uptime_s: float | None = None) -> NvLinks:
    """The links of GPUs by the driver's answers. Raises Inconclusive where one is refused for another reason.

    >>> told = [{"link": 0, "state": "ACTIVE", "gbs": 25.0, "remote": "GPU", "remote_pci": None}]
    >>> parse({0: Answers(0, {"nvlinks": told})}, ()).slowest
    25.0
    >>> parse({0: Answers(0, {}, {"nvlinks": {"code": 3, "says": "Not Supported"}})}, ()).describe()
    'NVML: no NVLink (GPU 0: Not Supported)'
    """
    divided = tuple(index for index, each in answers.items() if (each.answered.get("mig") or [False])[0])
    if divided and len(divided) == len(answers):
        raise Inconclusive("every GPU is divided by MIG, and has no NVLink to others then", "See GPU-MIG first.")
    whole = {index: each for index, each in answers.items() if index not in divided}
    told: dict[int, Any] = {index: each.if_known("nvlinks") for index, each in whole.items()}
    return NvLinks(
        gpus={index: tuple(_link(index, each) for each in links or ()) for index, links in told.items()},
        products={gpu.index: gpu.product for gpu in gpus},
        silent={index: whole[index].refused["nvlinks"]["says"] for index, links in told.items() if links is None},
        divided=divided,
        uptime_s=uptime_s,
    )


def _link(gpu: int, told: Mapping[str, Any]) -> Link:
    return Link(gpu, told["link"], told["state"], told["gbs"], told["remote"], told["remote_pci"])


def _speeds(links: Iterable[Link]) -> list[float]:
    return [link.gbs for link in links if link.gbs is not None]


def _links(count: int) -> str:
    return f"{count} link{'' if count == 1 else 's'}"


def _names(indexes: Iterable[int]) -> str:
    return ", ".join(f"GPU {index}" for index in indexes)
