"""Calibration: what runs of known-good machines reached, as limits for a profile with their provenance. Pure."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from dgxcert.console import counted
from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.units import QUANTITIES
from dgxcert.outcome import CannotStart
from dgxcert.record.run import Result, Run
from dgxcert.record.timings import Timing, speed

MIN_MARGIN = 0.02
"""The margin below the slowest reading is never less: clocks and timers are accurate to about 2 %."""
MAX_MARGIN = 0.3
"""A limit that needs a larger margin lets slow machines pass, so none is printed."""
SIGMAS = 3.0
"""Standard deviations between readings in the margin: a good machine falls below them once in a thousand runs."""
DIGITS = 3
"""Significant digits of the limits: known-good machines differ by less than two digits can show."""
WIDTH = 100
"""Columns after which a printed line wraps at the next space or number."""


@dataclass(frozen=True)
class Reading:
    """The rate that one run reached in one benchmark, and the interquartile range of its rounds as a share of them.

    >>> Reading("GPU-5b1f", "2026-11-23T18-40-00Z-spark-07", 14.1, "token/s", spread=0.004)
    Reading(machine='GPU-5b1f', run='2026-11-23T18-40-00Z-spark-07', rate=14.1, unit='token/s', spread=0.004)
    """

    machine: str
    run: str
    rate: float
    unit: str
    spread: float


def readings(runs: list[tuple[Run, dict[str, Timing]]]) -> tuple[dict[str, list[Reading]], list[str]]:
    """Readings by limit, and what is excluded with the reason. Raises CannotStart where runs do not belong together."""
    _require_comparable([run for run, _ in runs])
    by_limit: dict[str, list[Reading]] = {}
    excluded = []
    for run, timings in runs:
        for result in run.results:
            measured = _rate(result)
            if measured is None:
                continue
            limit, evidence = measured
            if spoiled := _spoiled(timings.get(result.key), evidence.value):
                excluded.append(f"{run.name}: {result.key}: {spoiled}")
                continue
            spread = spread_of(timings[result.key].seconds)
            reading = Reading(_machine(run), run.name, float(evidence.value), evidence.unit, spread)
            by_limit.setdefault(limit, []).append(reading)
    for limit in [limit for limit, items in by_limit.items() if _margin(items)[0] > MAX_MARGIN]:
        margin, reason = _margin(by_limit.pop(limit))
        excluded.append(f"{limit}: it needs a margin of {margin:.0%} ({reason}), which lets slow machines pass")
    return by_limit, excluded


def lines(by_limit: dict[str, list[Reading]], about: str) -> Iterable[str]:
    """Lines for `limits:` of a profile; `about` describes the machines and their software.

    >>> reading = Reading("GPU-5b1f", "2026-11-23T18-40-00Z-spark-07", 14.1, "token/s", spread=0.004)
    >>> print(*lines({"decode.bf16.tuned.single": [reading]}, "2026-11-23, driver 580.95.05, no image"), sep="\\n")
      decode.bf16.tuned.single:
        reading: [14.1]
        margin: 0.02
        digits: 3
        unit: token/s
        basis: measured
        source: 1 run of 1 known-good machine, 2026-11-23, driver 580.95.05, no image
        note: provisional, one machine only; slowest in 2026-11-23T18-40-00Z-spark-07; the margin is the least
    """
    for name in (name for name in QUANTITIES if name in by_limit):
        items = by_limit[name]
        slowest = min(items, key=lambda reading: reading.rate)
        margin, reason = _margin(items)
        machines = len({reading.machine for reading in items})
        provisional = "provisional, one machine only; " if machines == 1 else ""
        limit = {
            "reading": [float(f"{reading.rate:.6g}") for reading in items],
            "margin": float(f"{margin:.4g}"),
            "digits": DIGITS,
            "unit": slowest.unit,
            "basis": "measured",
            "source": f"{_counted(items)} of {counted(machines, 'known-good machine')}, {about}",
            "note": f"{provisional}slowest in {slowest.run}; the margin is {reason}",
        }
        # flow style for lists only: each field has a line of its own, all readings share one
        text = yaml.safe_dump({name: limit}, sort_keys=False, default_flow_style=None, allow_unicode=True, width=WIDTH)
        yield from (f"  {line}" for line in text.splitlines())


def _counted(items: list[Reading]) -> str:
    """How many runs some readings are of; a run of a machine with several GPUs has one of each.

    >>> both = [Reading("GPU-1,GPU-2", "2026-11-23T18-40-00Z-dgx-1", rate, "GB/s", 0.01) for rate in (4260.0, 4290.0)]
    >>> _counted(both), _counted(both[:1])
    ('2 readings in 1 run', '1 run')
    """
    number = len({(reading.machine, reading.run) for reading in items})
    several = f"{counted(len(items), 'reading')} in " if len(items) > number else ""
    return f"{several}{counted(number, 'run')}"


def _margin(items: list[Reading]) -> tuple[float, str]:
    """The widest of three: the least margin, the spread within a run, and the scatter between runs; and which it is."""
    rates = [reading.rate for reading in items]
    options = [(MIN_MARGIN, "the least")]
    options.append((max(reading.spread for reading in items), "the widest spread of rounds"))
    if len(rates) > 1:
        scatter = SIGMAS * statistics.stdev(rates) / statistics.fmean(rates)
        options.append((scatter, f"{SIGMAS:.0f} standard deviations between runs"))
    return max(options)


def spread_of(seconds: tuple[float, ...]) -> float:
    """Interquartile range of some rounds, as a share of their median; infinite for a single one."""
    if len(seconds) < 2:
        return math.inf
    quartiles = statistics.quantiles(seconds, n=4, method="inclusive")
    return (quartiles[2] - quartiles[0]) / statistics.median(seconds)


def _rate(result: Result) -> tuple[str, Evidence] | None:
    """The limit that a benchmark's rate was compared with, and the rate; None where the result is no benchmark's."""
    pairs = ((speed(comparison), evidence) for evidence in result.evidence for comparison in evidence.held_against)
    return next(((limit, evidence) for limit, evidence in pairs if limit), None)


def _spoiled(timing: Timing | None, rate: object) -> str:
    """Why a benchmark of a run is not used, or ""."""
    if timing is None:
        return "it is not in benchmark.json"
    if not isinstance(rate, int | float) or not 0 < rate < math.inf:
        return f"its rate is {rate!s:.20}"
    return timing.spoiled or ("" if len(timing.seconds) > 1 else "it has one round")


def _machine(run: Run) -> str:
    return ",".join(sorted(gpu.uuid for gpu in run.machine.gpus)) or run.machine.hostname


def _require_comparable(runs: list[Run]) -> None:
    """Raise CannotStart unless all are runs of the same profile, suite and kind of machine, on a real base image."""
    kinds: dict[str, set[object]] = {
        "profiles": {run.profile_sha256 for run in runs},
        "suites": {run.suite.sha256 for run in runs},
        "kinds of machine": {tuple(sorted(gpu.product for gpu in run.machine.gpus)) for run in runs},
    }
    for kind, values in kinds.items():
        if len(values) > 1:
            raise CannotStart(f"These runs are of {len(values)} {kind}.", "Calibrate with runs that are alike.")
    for run in runs:
        if run.image is not None and run.image.standin and run.profile.certifies:
            raise CannotStart(
                f"{run.name} ran on a stand-in for the base image.", "Calibrate with runs on NVIDIA's own image."
            )


def about(runs: list[Run]) -> str:
    """Dates, driver and image of the runs, such as `2026-11-23 to 2026-11-24, driver 580.95.05, sha256:77aa`."""
    days = sorted({run.started[:10] for run in runs})
    drivers = ", ".join(sorted({run.machine.driver or "no driver" for run in runs}))
    images = ", ".join(sorted({run.image.id[:19] if run.image else "no image" for run in runs}))
    return f"{days[0]}{f' to {days[-1]}' if len(days) > 1 else ''}, driver {drivers}, {images}"
