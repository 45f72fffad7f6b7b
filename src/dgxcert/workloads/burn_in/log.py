"""The record of a burn-in: what each cycle did and found, kept line by line in a file, and what can be said of it all.

The file outlives the process, so that a burn-in that was interrupted goes on where it was.
"""

import json
import os
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dgxcert.judgement.limit import Bound
from dgxcert.machine import trace
from dgxcert.machine.trace import Point, Trace
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host import boot

LEAST = 4
"""Fewer cycles cannot be compared: three say how it began."""
WINDOW = 3
"""Cycles whose median counts: the one that something else took a second from is none."""
LONGER = "Burn in for longer: make burn-in MINUTES=30"
MANY = 10
"""From so many cycles on one bad one cannot move their mean by as much as the limit leaves."""
UNSEEN = 0.05
"""Largest share of cycles in which the driver may leave a question unanswered: they hide what happened in them."""


@dataclass(frozen=True)
class Cycle:
    """One turn of products, copies and training: what was measured and found."""

    at: float
    """When it ended, in seconds since 1970."""
    seconds: float
    matmul: float
    """TFLOP/s, comparing included."""
    copy: float
    """GB/s."""
    training: float
    """Steps per second."""
    wrong: int
    """Values of products, copies and trained weights that differ from what they must be."""
    product: str
    weights: str
    """Hashes of the last product and of the trained weights: the same in every cycle of a machine that is well."""
    errors: int | None = 0
    """Uncorrected memory errors since the driver was loaded; None where the driver did not tell."""
    shared: str = ""
    """In words, who else used the GPU: then speed, heat and clock say nothing, and the time does not count."""
    unseen: str = ""
    """In words, what the driver did not tell of it: then who shared it is unknown, and it does not count either."""
    clock_mhz: float | None = None
    hottest: float | None = None
    hot: float | None = None
    """Share of the time slowed down for heat."""
    capped: float | None = None
    """Share of the time in which power was capped."""
    power_w: float | None = None

    @property
    def counts(self) -> bool:
        """Whether speed, heat and clock say something."""
        return not (self.shared or self.unseen)

    @property
    def line(self) -> str:
        """For a person who leaves this running."""
        seen = [f"{self.matmul:.4g} TFLOP/s", f"{self.copy:.4g} GB/s", f"{self.training:.3g} step/s"]
        seen += [f"{self.clock_mhz:.0f} MHz"] if self.clock_mhz is not None else []
        seen += [f"{self.hottest:.0f} °C"] if self.hottest is not None else []
        seen += [f"{self.wrong} WRONG VALUES"] if self.wrong else []
        seen += ["shared, so it does not count"] if self.shared else []
        seen += ["not seen, so it does not count"] if self.unseen else []
        return ", ".join(seen)


@dataclass(frozen=True)
class BurnIn:
    """All cycles of a burn-in, and how it was interrupted."""

    cycles: tuple[Cycle, ...] = ()
    pauses: int = 0
    """How often it went on after Ctrl-C; what the machine did in between is nobody's business."""
    interruptions: int = 0
    """How often it went on after anything else: it was killed, crashed, or the machine went down."""
    restarts: int = 0
    """How many of these interruptions came with a restart of the machine."""
    counters: tuple[int, ...] = ()
    """The driver's count of uncorrected memory errors, read before the first cycle of each beginning and after each."""
    begun: dict[str, Any] = field(default_factory=dict)
    """What determines the answers, as it was at first."""
    highest_mhz: float | None = None

    @property
    def counting(self) -> tuple[Cycle, ...]:
        """The cycles during which nobody else used the GPU, as far as the driver told all that was asked."""
        return tuple(cycle for cycle in self.cycles if cycle.counts)

    @property
    def shared(self) -> int:
        """How many cycles do not count because somebody else used the GPU."""
        return sum(bool(cycle.shared) for cycle in self.cycles)

    @property
    def unseen(self) -> int:
        """How many cycles do not count because the driver did not tell of them."""
        return sum(bool(cycle.unseen) for cycle in self.cycles)

    @property
    def minutes(self) -> float:
        """Minutes of work that count."""
        return sum(cycle.seconds for cycle in self.counting) / 60

    @property
    def says(self) -> str:
        """How this was measured, for a record."""
        return f"{len(self.counting)} cycles of products, copies and training steps in {self.minutes:.1f} min"

    @property
    def wrong_values(self) -> int:
        """Values that were wrong, in all cycles: a right GPU computes right also when it is shared."""
        return sum(cycle.wrong for cycle in self.cycles)

    def other(self, name: str) -> int:
        """How many cycles gave another hash of `product` or `weights` than the first one."""
        return sum(getattr(cycle, name) != getattr(self.cycles[0], name) for cycle in self.cycles)

    @property
    def others(self) -> int:
        """How many other hashes than at first, of products and of weights."""
        return self.other("product") + self.other("weights")

    def right(self) -> "BurnIn":
        """Itself; raises Wrong where anything came out wrong: however it ended, that is a finding."""
        if self.wrong_values or self.others or self.new_errors:
            raise Wrong(
                f"the burn-in found {self.wrong_values} wrong values, {self.others} results other than at first and "
                f"{self.new_errors} new memory errors in {len(self.cycles)} cycles"
            )
        return self

    def seen(self) -> "BurnIn":
        """Itself; raises Inconclusive where a restart or a mute driver hides what happened."""
        if self.restarts:
            raise Inconclusive(
                f"the machine was started again {self.restarts} times while it was burnt in",
                "Nobody restarted it: `journalctl -b -1 -k | tail -100` shows the kernel's last words.",
                "It was restarted on purpose: begin a new burn-in.",
            )
        if self.unseen > UNSEEN * len(self.cycles):
            first = next(cycle.unseen for cycle in self.cycles if cycle.unseen)
            raise Inconclusive(f"{self.unseen} of {len(self.cycles)} cycles were not seen: {first}", LONGER)
        return self

    @property
    def new_errors(self) -> int:
        """Uncorrected memory errors that came since it began; a counter that began anew counts from there."""
        steps = zip(self.counters, self.counters[1:], strict=False)
        return sum(max(0, after - before) for before, after in steps)

    @property
    def highest_clock(self) -> Bound | None:
        """The highest clock of this GPU; None where its driver has no figure."""
        if not self.highest_mhz:
            return None
        return Bound(value=self.highest_mhz, unit="MHz", source="NVML: the highest clock that this GPU can do")

    def enough(self) -> "BurnIn":
        """Itself; raises Inconclusive where there are too few cycles."""
        if len(self.counting) < LEAST:
            raise Inconclusive(
                f"only {len(self.counting)} cycles, too few to compare: burn in for longer", LONGER, "See BURN-IN."
            )
        return self

    def whole(self, minutes: float) -> "BurnIn":
        """Itself; raises Inconclusive where it was cut short, which proves nothing for as long as asked."""
        if self.minutes < minutes:
            raise Inconclusive(
                f"the burn-in was cut short: it worked {self.minutes:.1f} of {minutes:g} min", "See BURN-IN first."
            )
        return self.enough()

    def trace(self, gpu: int) -> Trace:
        """A point for each cycle, those that do not count included: heat is heat, whoever makes it."""
        points = [
            Point(
                t=cycle.at - cycle.seconds / 2,
                clock_mhz=cycle.clock_mhz,
                power_w=cycle.power_w,
                temperature_c=cycle.hottest,
                hot=cycle.hot,
                held_back=cycle.capped,
            )
            for cycle in self.cycles
        ]
        return trace.downsample(gpu, points)

    def steadiness(self, name: str) -> float:
        """The slowest three cycles in a row over the first three, by medians, or all by their mean if that is slower.

        A median does not see what is slow every third time. Raises Inconclusive for too few.
        """
        rates = [float(getattr(cycle, name)) for cycle in self.enough().counting]
        medians = [statistics.median(rates[at : at + WINDOW]) for at in range(len(rates) - WINDOW + 1)]
        mean = [statistics.fmean(rates)] if len(rates) >= MANY else []
        return min(*medians, *mean) / medians[0]

    def highest(self, name: str) -> float:
        """The highest of a sampled figure; raises Inconclusive where nothing was sampled."""
        return max(value for _, value in self._sampled(name))

    def lowest(self, name: str) -> float:
        """The lowest of a sampled figure; raises Inconclusive where nothing was sampled."""
        return min(value for _, value in self._sampled(name))

    def mean(self, name: str) -> float:
        """The mean of a sampled share of time, over all the time; raises Inconclusive where nothing was sampled."""
        found = self._sampled(name)
        return sum(seconds * value for seconds, value in found) / sum(seconds for seconds, _ in found)

    def _sampled(self, name: str) -> list[tuple[float, float]]:
        """Seconds and figure of each cycle that counts."""
        values = ((cycle.seconds, getattr(cycle, name)) for cycle in self.counting)
        found = [(seconds, float(value)) for seconds, value in values if value is not None]
        if not found:
            raise Inconclusive(f"no cycle of a burn-in tells {name}", "See BURN-IN first.")
        return found


def begin(path: Path, begun: dict[str, Any], errors: int, highest_mhz: float | None) -> None:
    """Keep that it begins or goes on, under which boot, with what, and how many memory errors there are already."""
    under = {"boot": boot.read() or "unknown", "at": time.time()}
    _append(path, {**under, "begun": begun, "errors": errors, "highest_mhz": highest_mhz})


def keep(path: Path, cycle: Cycle) -> None:
    """Keep a cycle."""
    _append(path, {"cycle": asdict(cycle)})


def pause(path: Path) -> None:
    """Keep that whoever ran it ended it: what happens to the machine until it goes on is no finding."""
    _append(path, {"paused": time.time()})


def load(path: Path) -> BurnIn:
    """What a file holds; nothing where there is none. A line torn by a power cut is left out."""
    entries = _entries(path)
    beginnings = [entry for entry in entries if "boot" in entry]
    first = beginnings[0] if beginnings else {}
    return BurnIn(
        cycles=tuple(Cycle(**entry["cycle"]) for entry in entries if "cycle" in entry),
        counters=tuple(found for entry in entries if (found := entry.get("cycle", entry).get("errors")) is not None),
        begun=first.get("begun", {}),
        highest_mhz=first.get("highest_mhz"),
        **_interruptions(entries),
    )


def _interruptions(entries: list[dict[str, Any]]) -> dict[str, int]:
    found = {"pauses": 0, "interruptions": 0, "restarts": 0}
    before, paused = None, False
    for entry in entries:
        if "paused" in entry:
            paused = True
        elif "boot" in entry:
            if before is not None:
                found["pauses" if paused else "interruptions"] += 1
                found["restarts"] += not paused and entry["boot"] != before
            before, paused = entry["boot"], False
    return found


def _entries(path: Path) -> list[dict[str, Any]]:
    entries = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        entries += [entry] if isinstance(entry, dict) else []
    return entries


def _append(path: Path, entry: dict[str, Any]) -> None:
    """One line, on the disk before anything else is done; after a torn one it begins anew."""
    torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if torn else "") + json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())
