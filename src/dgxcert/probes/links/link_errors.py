"""Errors that NVLinks have counted: since the driver was loaded, and between two readings.

The counters only grow, and say nothing of when; so what counts is their growth under load. NVIDIA's DCGM fails a link
at one replay, recovery or packet error, and at 100 CRC errors a second (dcgmlib, hardware limits); a single event that
the link repaired by itself has been seen on healthy machines (NVIDIA/nvidia-resiliency-ext#302).
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from dgxcert.judgement.computation import Computation
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Machine
from dgxcert.machine.nvml_errors import MESSAGES
from dgxcert.machine.trait import Trait
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.links.nvlinks import RESET_ALL

SENT_AGAIN = ("crc", "crc_flit", "crc_data", "replay", "effective", "symbol")
"""A packet that arrived damaged and was sent again, or a symbol that was corrected: nothing is lost but time."""
RATE = "effective_ber"
COUNTED = re.compile(r"link (\d+) ([a-z_]+) (\d+)")
WERE_UP = re.compile(r"links up (\d+(?: \d+)*)")

REMEDY = (
    "Read the counters of each link: nvidia-smi nvlink --errorcounters",
    "Read what the driver says about it: sudo dmesg -T | grep -iE 'nvrm|xid|sxid|nvlink'",
    *RESET_ALL,
    Trait.CARD.only("Shut down, and reseat the cards and the NVLink bridges between them."),
    "Run this again. Open a hardware case with both run folders if the same link counts errors again.",
)


@dataclass(frozen=True)
class Reading:
    """The counters of each link that is up, by GPU, link and name, as they were read at a time."""

    counters: Mapping[int, Mapping[int, Mapping[str, float]]]
    at_s: float = 0.0
    """When they were read, in seconds after the boot."""

    @property
    def links(self) -> int:
        """How many links are up."""
        return sum(map(len, self.counters.values()))

    @property
    def silent(self) -> tuple[str, ...]:
        """Links that are up and have no counter that this driver reports."""
        return tuple(_name(gpu, link) for gpu, link, counted in self._each() if not counted)

    @property
    def worst_rate(self) -> float | None:
        """The highest effective bit error rate of a link since it came up; None where none is reported (NVLink 4)."""
        return max((counted[RATE] for *_, counted in self._each() if RATE in counted), default=None)

    def text(self, gpu: int) -> str:
        """Which links of a GPU are up and what they have counted, so that a later process can read it from the record.

        >>> Reading({0: {3: {"crc": 4, "replay": 0}, 5: {"replay": 1}}}).text(0)
        'link 3 crc 4, link 5 replay 1; links up 3 5'
        >>> Reading({0: {3: {"crc": 0}}}).text(0)
        'none; links up 3'
        """
        links = self.counters.get(gpu, {})
        counted = [
            f"link {link} {name} {count:.0f}"
            for link, counters in links.items()
            for name, count in counters.items()
            if count and name != RATE
        ]
        up = f"; links up {' '.join(map(str, links))}" if links else ""
        return f"{', '.join(counted) or 'none'}{up}"

    def require_counters(self) -> None:
        """Raise Inconclusive where links are up whose errors the driver does not count."""
        if self.silent:
            raise Inconclusive(
                f"the driver reports no error counter of {', '.join(self.silent[:3])}",
                "Run `nvidia-smi nvlink --errorcounters`; it needs driver 515, and 570 for Blackwell.",
                MESSAGES,
            )

    def _each(self) -> list[tuple[int, int, Mapping[str, float]]]:
        return [(gpu, link, each) for gpu, links in self.counters.items() for link, each in links.items()]


@dataclass(frozen=True)
class Growth:
    """What was counted between two readings, by link and name, and in which time."""

    counted: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float = 1.0
    links: int = 0
    lost: tuple[str, ...] = ()
    """Links that were up at the first reading and not at the second: nothing counts what they lost."""

    @property
    def errors(self) -> int:
        """Errors that a link has not repaired by sending again, or by which it had to be trained again.

        >>> Growth({"GPU 0 link 3": {"crc": 4, "replay": 4, "recovery": 1}}, 2.0).errors
        1
        """
        return int(sum(count for each in self.counted.values() for name, count in each.items() if _is_error(name)))

    @property
    def replays(self) -> float:
        """Times a second that the worst link sent something again, by its highest counter.

        >>> Growth({"GPU 0 link 3": {"crc": 4, "replay": 5, "recovery": 1}}, 2.0).replays
        2.5
        """
        counts = [count for each in self.counted.values() for name, count in each.items() if not _is_error(name)]
        return max(counts, default=0) / self.seconds

    @property
    def source(self) -> str:
        """What grew, as text for evidence.

        >>> Growth({"GPU 0 link 3": {"crc": 4}}, 2.0, links=36).source
        'NVML, 36 links in 2 s: GPU 0 link 3 crc 4'
        >>> Growth({}, 2.0, links=0).source
        'NVML: no NVLink is up, so nothing is counted'
        >>> Growth({}, 2.0, links=35, lost=("GPU 0 link 3",)).source
        'NVML, 35 links in 2 s: went down: GPU 0 link 3; no counter grew'
        """
        if not (self.links or self.lost):
            return "NVML: no NVLink is up, so nothing is counted"
        worst = sorted(self.counted.items(), key=lambda item: -max(item[1].values()))
        named = [f"{link} {name} {count:.0f}" for link, each in worst for name, count in each.items()]
        more = f" and {len(named) - 6} more" if len(named) > 6 else ""
        others = f" and {len(self.lost) - 6} more" if len(self.lost) > 6 else ""
        down = f"went down: {', '.join(self.lost[:6])}{others}; " if self.lost else ""
        grown = f"{', '.join(named[:6]) or 'no counter grew'}{more}"
        return f"NVML, {self.links} links in {self.seconds:.0f} s: {down}{grown}"


def read(machine: Machine) -> Reading:
    """The counters of each GPU's links. Raises Inconclusive without a GPU, and where the driver fails to tell."""
    if not machine.gpus:
        raise Inconclusive("the driver lists no GPU", "See GPU-PRESENT first.")
    return parse({gpu.index: nvml.ask(gpu.index, "nvlink_counters") for gpu in machine.gpus}, time.monotonic())


def parse(answers: Mapping[int, Answers], at_s: float = 0.0) -> Reading:
    """The counters by the driver's answers. Raises Inconclusive where one is refused for another reason.

    >>> parse({0: Answers(0, {"nvlink_counters": {"5": {"crc": 2}}})}).counters
    {0: {5: {'crc': 2}}}
    """
    told = {index: each.if_known("nvlink_counters") or {} for index, each in answers.items()}
    return Reading({gpu: {int(link): counted for link, counted in links.items()} for gpu, links in told.items()}, at_s)


def growth(before: Reading, after: Reading) -> Growth:
    """What was counted from one reading to the next, and which links went down; a lower counter has been reset.

    >>> growth(Reading({0: {3: {"crc": 4}}}, 10.0), Reading({0: {3: {"crc": 9}}}, 20.0)).source
    'NVML, 1 links in 10 s: GPU 0 link 3 crc 5'
    """
    counted: dict[str, dict[str, float]] = {}
    for gpu, links in after.counters.items():
        for link, counters in links.items():
            earlier = before.counters.get(gpu, {}).get(link, {})
            for name, count in counters.items():
                more = count - earlier.get(name, 0)
                more = count if more < 0 else more
                if more and name != RATE:
                    counted.setdefault(_name(gpu, link), {})[name] = more
    lost = tuple(
        _name(gpu, link)
        for gpu, links in before.counters.items()
        for link in links
        if link not in after.counters.get(gpu, {})
    )
    return Growth(counted, max(after.at_s - before.at_s, 1.0), after.links, lost)


NAME = "counted by GPU {}"
READ_AT = "time of reading"
KEY = "NVLINK-COUNT"
"""The quantities, and the requirement, that keep what had been counted before the work."""


def before_work(computation: Computation) -> Reading | None:
    """What had been counted before the work of this run, from its record; None where nothing was read.

    >>> kept = {(KEY, NAME.format(0)): "link 3 crc 4; links up 3", (KEY, READ_AT): 300.0}
    >>> before_work(Computation(before=kept))
    Reading(counters={0: {3: {'crc': 4.0}}}, at_s=300.0)
    """
    at_s = computation.before.get((KEY, READ_AT))
    if not isinstance(at_s, int | float):
        return None
    counters: dict[int, dict[int, dict[str, float]]] = {}
    for (key, name), value in computation.before.items():
        found = re.fullmatch(NAME.format(r"(\d+)"), name)
        if key == KEY and found:
            links = counters.setdefault(int(found[1]), {})
            up = WERE_UP.search(str(value))
            links |= {int(link): {} for link in (up[1].split() if up else ())}
            for link, counter, count in COUNTED.findall(str(value)):
                links.setdefault(int(link), {})[counter] = float(count)
    return Reading(counters, float(at_s))


def since_before_work(machine: Machine, computation: Computation) -> Growth:
    """What the links have counted since the host stage of this run.

    Raises Inconclusive where links are up and were not read then, and as `read` does.
    """
    after, before = read(machine), before_work(computation)
    after.require_counters()
    if before is None and not after.links:
        return Growth()
    if before is None:
        raise Inconclusive(
            "the NVLinks' errors were not read before the work, so nothing tells what is new",
            "Measure it in one run with NVLINK-COUNT: make validate ONLY=NVLINK-COUNT,NVLINK-ERRORS-AFTER",
        )
    return growth(before, after)


def _is_error(name: str) -> bool:
    return name not in SENT_AGAIN


def _name(gpu: int, link: int) -> str:
    return f"GPU {gpu} link {link}"
