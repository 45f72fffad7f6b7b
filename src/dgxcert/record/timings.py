"""Timings: the raw rounds of a run's benchmarks, from pytest-benchmark's own file, and what spoils them."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dgxcert.judgement.evidence import Comparison
from dgxcert.judgement.rounds import Rounds, known_within
from dgxcert.judgement.units import QUANTITIES, SPEEDS
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record.benchmark_file import NAME
from dgxcert.record.run import Result, Run

OTHERS = 0.1
"""Share of the processors that others may use before rounds on a CPU say something about them."""
HOT = 0.05
"""Share of the time that a GPU may slow down for heat before its rounds say something about the heat."""


@dataclass(frozen=True)
class Timing:
    """One benchmark of one run: seconds of each round, the work in a round, and why they say nothing, or ""."""

    requirement: str
    amount: float
    seconds: tuple[float, ...]
    spoiled: str = ""

    @property
    def per_unit_s(self) -> float:
        """Seconds of the middle round for one unit of work."""
        ordered = sorted(self.seconds)
        middle = len(ordered) // 2
        median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
        return median / self.amount

    @property
    def within(self) -> float:
        """Half of the 95 % interval of that, as a share of it."""
        return known_within(self.seconds)

    @property
    def wander(self) -> float:
        """How far its two halves lie apart: what a machine does within a run it does between two as well."""
        return abs(Rounds(self.seconds).drift)


def of(run: Run, folder: Path) -> dict[str, Timing]:
    """The same as `read`, where the rounds of a benchmark that was not believed, or computed wrongly, are spoiled."""
    troubles = {result.key: trouble for result in run.results if (trouble := _trouble(result))}
    found = read(folder)
    return {key: replace(each, spoiled=each.spoiled or troubles.get(key, "")) for key, each in found.items()}


def _trouble(result: Result) -> str:
    """Why a result says nothing about speed, or ""; that it lies below its limit is no trouble."""
    if result.outcome is Outcome.PASSED:
        return ""
    if result.outcome is not Outcome.FAILED:
        return result.reason or f"it is {result.outcome.value}"
    violated = [held for evidence in result.evidence for held in evidence.violated]
    other = [held for held in violated if speed(held) is None]
    return "" if violated and not other else f"it failed otherwise ({other[0].source if other else result.reason})"


def speed(held: Comparison) -> str | None:
    """Name of the limit of a speed that a quantity was held against; None where it is no such limit."""
    name = held.source.removeprefix("limit ").partition(":")[0]
    is_one = held.source.startswith("limit ") and name in QUANTITIES and name.split(".")[0] in SPEEDS
    return name if is_one else None


def read(folder: Path) -> dict[str, Timing]:
    """The benchmarks of a run folder by requirement. Raises CannotStart where its file is missing or broken."""
    path = folder / NAME
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise CannotStart(
            f"{path} is not there: this run timed no benchmark.", "Name a run of the standard tier."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotStart(
            f"{path} cannot be read: {type(error).__name__}: {error}.", "Run the benchmarks again: make validate"
        ) from error


def parse(content: dict[str, Any]) -> dict[str, Timing]:
    """The same of the file's content; a benchmark that is none of dgxcert's is left out."""
    found = {}
    for each in content["benchmarks"]:
        info = each.get("extra_info", {})
        if "requirement" in info:
            seconds = tuple(float(second) for second in each["stats"]["data"])
            found[info["requirement"]] = Timing(info["requirement"], float(info["amount"]), seconds, _spoiled(info))
    return found


def _spoiled(info: dict[str, Any]) -> str:
    """Why rounds say nothing about the machine, in words."""
    if info.get("disturbance"):
        return str(info["disturbance"])
    if info.get("compiled"):
        return f"code was compiled {info['compiled']} times while they were timed"
    if info.get("device") == "cpu" and (info.get("others") or 0.0) > OTHERS:
        return f"others used {info['others']:.0%} of the processors"
    if (info.get("hot") or 0.0) > HOT:
        return f"the GPU slowed down for heat {info['hot']:.0%} of the time"
    return ""
