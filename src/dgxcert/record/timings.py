"""Timings: the raw rounds of a run's benchmarks, from pytest-benchmark's own file, and what makes them unusable."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from dgxcert.files import untrusted
from dgxcert.judgement.evidence import Comparison
from dgxcert.judgement.rounds import Around, Rounds, known_within
from dgxcert.judgement.units import QUANTITIES, SPEEDS
from dgxcert.machine.neighbours import is_busy
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record.benchmark_file import AT_MOST, NAME
from dgxcert.record.run import Result, Run

Seconds = Annotated[float, Field(gt=1e-12, lt=1e9)]
"""Of one round: no clock shows less, and nobody waits longer. Within these bounds no sum or quotient overflows."""
Amount = Annotated[float, Field(gt=1e-12, lt=1e18)]
Share = Annotated[float, Field(ge=0.0, le=1.5)] | None
"""Of the time, or of all CPUs; a little more than all by how it is measured."""


class _Info(BaseModel):
    """What a benchmark of dgxcert keeps in `extra_info`, as far as it is used here."""

    requirement: str
    amount: Amount
    disturbance: str | None = None
    compiled: int | None = None
    device: str | None = None
    others: Share = None
    hot: Share = None
    braked: Share = None


class _Stats(BaseModel):
    data: tuple[Seconds, ...] = Field(min_length=1)


class _Benchmark(BaseModel):
    extra_info: _Info
    stats: _Stats


@dataclass(frozen=True)
class Timing:
    """One benchmark of one run: seconds of each round, units of work per round, and why they are unusable, or ""."""

    requirement: str
    amount: float
    seconds: tuple[float, ...]
    spoiled: str = ""

    @property
    def per_unit_s(self) -> float:
        """Median seconds for one unit of work."""
        ordered = sorted(self.seconds)
        middle = len(ordered) // 2
        median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
        return median / self.amount

    @property
    def within(self) -> float:
        """Half of the 95 % confidence interval of that, as a share of it."""
        return known_within(self.seconds)

    @property
    def wander(self) -> float:
        """How much its two halves differ: a machine that drifts within a run differs as much between runs."""
        return abs(Rounds(self.seconds).drift)


def of(run: Run, folder: Path) -> dict[str, Timing]:
    """The benchmarks of a run by requirement; those that were inconclusive or computed wrong results are spoiled."""
    problems = {result.key: problem for result in run.results if (problem := unusable(result))}
    timings = read(folder)
    return {key: replace(timing, spoiled=timing.spoiled or problems.get(key, "")) for key, timing in timings.items()}


def unusable(result: Result) -> str:
    """Why a result says nothing about speed, or "". Being below its limit is not a problem here."""
    if result.outcome is Outcome.PASSED:
        return ""
    if result.outcome is not Outcome.FAILED:
        return result.reason or f"it is {result.outcome.value}"
    violated = [comparison for evidence in result.evidence for comparison in evidence.violated]
    other = [comparison for comparison in violated if speed(comparison) is None]
    return "" if violated and not other else f"it failed otherwise ({other[0].source if other else result.reason})"


def speed(comparison: Comparison) -> str | None:
    """Name of the limit of a speed that a quantity was compared with; None where it was something else."""
    name = comparison.limit
    return name if name in QUANTITIES and name.split(".")[0] in SPEEDS else None


def read(folder: Path) -> dict[str, Timing]:
    """The benchmarks of a run folder by requirement. Raises CannotStart where its file is missing or broken."""
    path = folder / NAME
    try:
        return parse(untrusted.read_json(path, AT_MOST))
    except FileNotFoundError as error:
        raise CannotStart(
            f"{path} is missing: this run timed no benchmark.", "Name a run of the standard tier."
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CannotStart(f"{path} cannot be read: {reason}.", "Run the benchmarks again: make validate") from error


def parse(content: Any) -> dict[str, Timing]:
    """The benchmarks in the content of pytest-benchmark's file, without those that are not dgxcert's.

    Raises ValueError with the reason in one line where it is not such a file.

    >>> info = {"requirement": "DECODE-SPEED[bf16]", "amount": 128}
    >>> parse({"benchmarks": [{"extra_info": info, "stats": {"data": [9.1, 9.0, 9.2]}}]})["DECODE-SPEED[bf16]"].amount
    128.0
    """
    benchmarks = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(benchmarks, list):
        raise ValueError("it has no list of benchmarks")
    timings = {}
    for number, benchmark in enumerate(benchmarks, start=1):
        about = benchmark.get("extra_info", {}) if isinstance(benchmark, dict) else None
        if not isinstance(about, dict):
            raise ValueError(f"benchmark {number}: it is no object with extra_info")
        if "requirement" in about:
            timing = _timing(benchmark, number)
            timings[timing.requirement] = timing
    return timings


def _timing(benchmark: dict[str, Any], number: int) -> Timing:
    try:
        kept = _Benchmark.model_validate(benchmark)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"benchmark {number}: {where}: {first['msg']}") from error
    info = kept.extra_info
    return Timing(info.requirement, info.amount, kept.stats.data, _spoiled(info))


def _spoiled(info: _Info) -> str:
    """Why rounds say nothing about the machine, or ""."""
    if info.disturbance:
        return info.disturbance
    if info.compiled:
        return f"code was compiled {info.compiled} times while they were timed"
    others = info.others or 0.0
    if info.device == "cpu" and is_busy(others):  # overall: a burst changes no median
        return f"other processes used {others:.0%} of the CPU"
    return Around(hot=info.hot, braked=info.braked).slowed
