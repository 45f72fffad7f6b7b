"""Burn-in log: what each cycle measured, kept line by line in a file, and the summary by which a burn-in is judged.

The file outlives the process, so that a burn-in that was interrupted resumes where it was:
`read_log` → `summarise` → `require_correct`, `require_observed`, `require_duration`.
"""

import json
import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.judgement.limit import Bound
from dgxcert.machine import trace
from dgxcert.machine.trace import Point, Trace
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.probes.host import boot

AT_MOST = 64 * MIB
"""The largest log that is read: a week of cycles is 10 MiB."""
MIN_CYCLES = 4
"""Fewer cycles cannot be compared: three of them are the start that the others are compared with."""
WINDOW = 3
"""Consecutive cycles whose median counts: a single cycle that something else slowed down is no finding."""
MIN_CYCLES_FOR_MEAN = 10
"""With so many cycles a single slow one cannot move their mean below the limit."""
MAX_UNOBSERVED = 0.05
"""Largest share of cycles in which the driver may leave a question unanswered: whatever happened in them is unknown."""
LONGER = "Burn in for longer: make burn-in MINUTES=30"


@dataclass(frozen=True)
class Cycle:
    """One cycle of matmuls, copies and training steps. The fields are named as in the file."""

    at: float
    """When it ended, in seconds since 1970."""
    seconds: float
    matmul: float
    """TFLOP/s, comparisons included."""
    copy: float
    """GB/s."""
    training: float
    """Steps per second."""
    wrong: int
    """Values of matmuls, copies and trained weights that differ from the expected ones."""
    product: str
    weights: str
    """SHA-256 of the last matmul's result and of the trained weights: the same in every cycle of a healthy machine."""
    errors: int | None = 0
    """Uncorrected memory errors since the driver was loaded; None where the driver did not report them."""
    shared: str = ""
    """Description of the other processes on the GPU: with them neither speed, heat, clock nor time count."""
    unseen: str = ""
    """What the driver did not report: other processes may have been on the GPU, so nothing counts either."""
    clock_mhz: float | None = None
    hottest: float | None = None
    """Highest temperature in °C."""
    hot: float | None = None
    """Share of the time in which the GPU slowed down for heat."""
    capped: float | None = None
    """Share of the time in which its power was capped."""
    power_w: float | None = None
    number: int | None = None
    """The same for all GPUs that worked at the same time; None where one worked alone."""

    @property
    def counts(self) -> bool:
        """Whether its speed, heat, clock and time count."""
        return not (self.shared or self.unseen)

    @property
    def line(self) -> str:
        """One line for the terminal.

        >>> Cycle(at=0.0, seconds=20.0, matmul=91.6, copy=230.0, training=50.0, wrong=0, product="", weights="").line
        '91.6 TFLOP/s, 230 GB/s, 50 step/s'
        """
        parts = [f"{self.matmul:.4g} TFLOP/s", f"{self.copy:.4g} GB/s", f"{self.training:.3g} step/s"]
        parts += [f"{self.clock_mhz:.0f} MHz"] if self.clock_mhz is not None else []
        parts += [f"{self.hottest:.0f} °C"] if self.hottest is not None else []
        parts += [f"{self.wrong} WRONG VALUES"] if self.wrong else []
        parts += ["other processes on the GPU, does not count"] if self.shared else []
        parts += ["not observed, does not count"] if self.unseen else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Start:
    """A burn-in starts or resumes. The fields are named as in the file."""

    boot: str
    """The kernel's boot id."""
    begun: dict[str, Any] = field(default_factory=dict)
    """The settings that determine the results."""
    errors: int | None = None
    """Uncorrected memory errors at that moment."""
    highest_mhz: float | None = None
    """The GPU's highest clock; None where the driver does not report it."""


@dataclass(frozen=True)
class Pause:
    """A burn-in was stopped with Ctrl-C: whatever happens to the machine until it resumes is no finding."""

    paused: float
    """Seconds since 1970."""


Entry = Start | Cycle | Pause
CYCLE, START, PAUSE = TypeAdapter(Cycle), TypeAdapter(Start), TypeAdapter(Pause)


@dataclass(frozen=True)
class Summary:
    """All cycles of a burn-in, and how it was interrupted."""

    cycles: tuple[Cycle, ...] = ()
    pauses: int = 0
    """How often it resumed after Ctrl-C."""
    interruptions: int = 0
    """How often it resumed after anything else: it was killed, crashed, or the machine went down."""
    reboots: int = 0
    """How many of these interruptions came with a reboot."""
    error_counts: tuple[int, ...] = ()
    """The driver's count of uncorrected memory errors, read at each start and after each cycle."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The settings of the first start, which determine the results."""
    highest_mhz: float | None = None

    @property
    def counted(self) -> tuple[Cycle, ...]:
        """The cycles without other processes on the GPU in which the driver reported everything."""
        return tuple(cycle for cycle in self.cycles if cycle.counts)

    @property
    def shared_cycles(self) -> int:
        """How many cycles do not count because of other processes on the GPU."""
        return sum(bool(cycle.shared) for cycle in self.cycles)

    @property
    def unobserved_cycles(self) -> int:
        """How many cycles do not count because the driver did not report on them."""
        return sum(bool(cycle.unseen) for cycle in self.cycles)

    @property
    def minutes(self) -> float:
        """Minutes of the cycles that count."""
        return sum(cycle.seconds for cycle in self.counted) / 60

    @property
    def source(self) -> str:
        """How this was measured, as evidence states it."""
        return f"{len(self.counted)} cycles of matmuls, copies and training steps in {self.minutes:.1f} min"

    @property
    def wrong_values(self) -> int:
        """Wrong values in all cycles, those that do not count included: sharing a GPU makes no value wrong."""
        return sum(cycle.wrong for cycle in self.cycles)

    @property
    def changed_results(self) -> int:
        """How many hashes of matmul results and trained weights differ from those of the first cycle."""
        return self.changed("product") + self.changed("weights")

    def changed(self, name: str) -> int:
        """In how many cycles the hash `product` or `weights` differs from that of the first cycle."""
        return sum(getattr(cycle, name) != getattr(self.cycles[0], name) for cycle in self.cycles)

    @property
    def new_memory_errors(self) -> int:
        """Uncorrected memory errors since the first start. A driver that was loaded again counts from zero.

        >>> Summary(error_counts=(2, 3, 3, 0, 1)).new_memory_errors
        2
        """
        steps = zip(self.error_counts, self.error_counts[1:], strict=False)
        return sum(max(0, after - before) for before, after in steps)

    @property
    def highest_clock(self) -> Bound | None:
        """The highest clock of this GPU; None where its driver does not report it."""
        if not self.highest_mhz:
            return None
        return Bound(value=self.highest_mhz, unit="MHz", source="NVML: the highest clock that this GPU can do")

    def steadiness(self, name: str) -> float:
        """The slowest three consecutive cycles over the first three, by medians, or the mean of all if that is slower.

        Raises Inconclusive where there are too few cycles.
        """
        _require_enough_cycles(self)
        rates = [float(getattr(cycle, name)) for cycle in self.counted]
        medians = [statistics.median(rates[start : start + WINDOW]) for start in range(len(rates) - WINDOW + 1)]
        # A median of three does not see every third cycle being slow; the mean does.
        mean = [statistics.fmean(rates)] if len(rates) >= MIN_CYCLES_FOR_MEAN else []
        return min(*medians, *mean) / medians[0]

    def highest(self, name: str) -> float:
        """The highest of a sampled value over the cycles that count; raises Inconclusive where none was sampled."""
        return max(value for _, value in self._sampled(name))

    def lowest(self, name: str) -> float:
        """The lowest of a sampled value over the cycles that count; raises Inconclusive where none was sampled."""
        return min(value for _, value in self._sampled(name))

    def mean(self, name: str) -> float:
        """The mean of a sampled share over the time that counts; raises Inconclusive where none was sampled."""
        samples = self._sampled(name)
        return sum(seconds * value for seconds, value in samples) / sum(seconds for seconds, _ in samples)

    def _sampled(self, name: str) -> list[tuple[float, float]]:
        """Seconds and value of each cycle that counts."""
        values = ((cycle.seconds, getattr(cycle, name)) for cycle in self.counted)
        samples = [(seconds, float(value)) for seconds, value in values if value is not None]
        if not samples:
            raise Inconclusive(f"no cycle of the burn-in has a value for {name}", "See BURN-IN first.")
        return samples

    def trace(self, gpu: int) -> Trace:
        """A point for each cycle, those that do not count included: temperatures hold whatever heats the GPU."""
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


def require_correct(summary: Summary) -> None:
    """Raise Wrong where anything was wrong: that is a finding however the burn-in ended."""
    if summary.wrong_values or summary.changed_results or summary.new_memory_errors:
        raise Wrong(
            f"the burn-in found {summary.wrong_values} wrong values, {summary.changed_results} changed results and "
            f"{summary.new_memory_errors} new memory errors in {len(summary.cycles)} cycles"
        )


def require_observed(summary: Summary) -> None:
    """Raise Inconclusive where a reboot, or a driver that did not answer, hides what happened."""
    if summary.reboots:
        raise Inconclusive(
            f"the machine rebooted {summary.reboots} times during the burn-in",
            "Read the kernel's last messages before the reboot: journalctl -b -1 -k | tail -100",
            "Start a new burn-in if it was rebooted on purpose: make burn-in",
        )
    if summary.unobserved_cycles > MAX_UNOBSERVED * len(summary.cycles):
        first = next(cycle.unseen for cycle in summary.cycles if cycle.unseen)
        observed = f"{summary.unobserved_cycles} of {len(summary.cycles)} cycles were not observed"
        raise Inconclusive(f"{observed}: {first}", LONGER)


def require_duration(summary: Summary, minutes: float) -> None:
    """Raise Inconclusive where it was cut short, or has too few cycles to compare."""
    if summary.minutes < minutes:
        raise Inconclusive(
            f"the burn-in was cut short: it worked {summary.minutes:.1f} of {minutes:g} min", "See BURN-IN first."
        )
    _require_enough_cycles(summary)


def _require_enough_cycles(summary: Summary) -> None:
    cycles = len(summary.counted)
    if cycles < MIN_CYCLES:
        raise Inconclusive(f"only {cycles} cycles count, too few to compare", LONGER, "See BURN-IN.")


def append_start(path: Path, settings: dict[str, Any], errors: int, highest_mhz: float | None) -> None:
    """Write that a burn-in starts or resumes: its boot id, settings, and the memory errors so far."""
    start = {"boot": boot.read() or "unknown", "at": time.time()}
    _append(path, {**start, "begun": settings, "errors": errors, "highest_mhz": highest_mhz})


def append_cycle(path: Path, cycle: Cycle) -> None:
    """Write a cycle."""
    _append(path, {"cycle": asdict(cycle)})


def append_pause(path: Path) -> None:
    """Write that it was stopped with Ctrl-C."""
    _append(path, {"paused": time.time()})


def read_log(path: Path) -> tuple[Entry, ...]:
    """The entries of a log file in order; none where there is no file. Lines torn by a power cut are skipped."""
    try:
        text = untrusted.read_bytes(path, AT_MOST).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise Inconclusive(f"{path.name} cannot be read: {error.strerror}", f"Move it away: ls -l {path}") from error
    entries = (parse_line(line) for line in text.split("\n"))
    return tuple(entry for entry in entries if entry is not None)


def parse_line(line: str) -> Entry | None:
    """The entry in a line; None where it is torn.

    >>> parse_line('{"boot": "7d1f", "at": 1764400000, "begun": {"torch": "2.10.0"}, "errors": 0, "highest_mhz": 3003}')
    Start(boot='7d1f', begun={'torch': '2.10.0'}, errors=0, highest_mhz=3003.0)
    >>> parse_line('{"paused": 1764400100.0}')
    Pause(paused=1764400100.0)
    >>> parse_line('{"cycle": {"at": 1764400020.0, "sec')
    """
    try:
        entry = untrusted.parse_json(line)
        if not isinstance(entry, dict):
            return None
        if "cycle" in entry:
            return CYCLE.validate_python(entry["cycle"])
        if "boot" in entry:
            return START.validate_python(entry)
        return PAUSE.validate_python(entry) if "paused" in entry else None
    except ValueError:
        return None


def summary_of(path: Path) -> Summary:
    """The summary of a log file; an empty one where there is no file."""
    return summarise(read_log(path))


def summarise(entries: Iterable[Entry]) -> Summary:
    """All cycles of a log, and how it was interrupted: a start is a resumption where another one came before it."""
    entries = tuple(entries)
    starts = [entry for entry in entries if isinstance(entry, Start)]
    first = starts[0] if starts else Start(boot="")
    counted = (entry.errors for entry in entries if not isinstance(entry, Pause))
    pauses, interruptions, reboots = _interruptions(entries)
    return Summary(
        cycles=tuple(entry for entry in entries if isinstance(entry, Cycle)),
        pauses=pauses,
        interruptions=interruptions,
        reboots=reboots,
        error_counts=tuple(errors for errors in counted if errors is not None),
        settings=first.begun,
        highest_mhz=first.highest_mhz,
    )


def _interruptions(entries: tuple[Entry, ...]) -> tuple[int, int, int]:
    """Pauses, interruptions, and reboots among the interruptions. A reboot after a pause does not count."""
    pauses = interruptions = reboots = 0
    boot_id, paused = None, False
    for entry in entries:
        if isinstance(entry, Pause):
            paused = True
        elif isinstance(entry, Start):
            if boot_id is not None:
                pauses += paused
                interruptions += not paused
                reboots += not paused and entry.boot != boot_id
            boot_id, paused = entry.boot, False
    return pauses, interruptions, reboots


def _append(path: Path, entry: dict[str, Any]) -> None:
    # "a+b": a power cut can tear the last line, and the next entry then starts on a line of its own, or both are lost
    with path.open("a+b") as file:
        torn = file.seek(0, os.SEEK_END) > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
        file.write((("\n" if torn else "") + json.dumps(entry) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())  # on the disk before the next cycle, which may take the machine down
