"""Calibration: what runs of known-good machines reached, as limits for a profile with their provenance. Pure."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.units import QUANTITIES
from dgxcert.outcome import CannotStart
from dgxcert.record.run import Result, Run
from dgxcert.record.timings import Timing, speed

LEAST_MARGIN = 0.02
"""What is left below the slowest reading in any case: clocks and timers are good to about 2 %."""
MOST_MARGIN = 0.3
"""A limit with more room than this would let anything through."""
SIGMAS = 3.0
"""Standard deviations between readings that are left: a good machine falls below them once in a thousand."""


@dataclass(frozen=True)
class Reading:
    """What one run reached of one quantity, on which machine, and how far its rounds spread."""

    machine: str
    run: str
    rate: float
    unit: str
    spread: float


def readings(runs: list[tuple[Run, dict[str, Timing]]]) -> tuple[dict[str, list[Reading]], list[str]]:
    """Readings by limit, and what was left out and why. Raises CannotStart where runs do not belong together."""
    _require_alike([run for run, _ in runs])
    found: dict[str, list[Reading]] = {}
    left_out = []
    for run, timings in runs:
        for result in run.results:
            held = _speed(result)
            if held is None:
                continue
            limit, evidence = held
            spoiled = timings[result.key].spoiled if result.key in timings else "it is not in benchmark.json"
            if spoiled:
                left_out.append(f"{run.name}: {result.key}: {spoiled}")
                continue
            seconds = timings[result.key].seconds
            quartiles = statistics.quantiles(seconds, n=4, method="inclusive")
            spread = (quartiles[2] - quartiles[0]) / statistics.median(seconds)
            reading = Reading(_machine(run), run.name, float(evidence.value), evidence.unit, spread)
            found.setdefault(limit, []).append(reading)
    for limit in [limit for limit, each in found.items() if _margin(each)[0] > MOST_MARGIN]:
        margin, why = _margin(found.pop(limit))
        left_out.append(f"{limit}: {margin:.0%} would have to be left ({why}), which no slow machine falls below")
    return found, left_out


def lines(found: dict[str, list[Reading]], about: str) -> Iterable[str]:
    """Lines for `limits:` of a profile; `about` says what the machines and their software were."""
    for name in (name for name in QUANTITIES if name in found):
        each = found[name]
        slowest = min(each, key=lambda reading: reading.rate)
        margin, why = _margin(each)
        machines = len({reading.machine for reading in each})
        source = (
            f"{'provisional: one machine only; ' if machines == 1 else ''}slowest of {machines} known-good "
            f"{'machine' if machines == 1 else 'machines'} in {len(each)} {'run' if len(each) == 1 else 'runs'} "
            f"{slowest.rate:.4g} {slowest.unit} ({slowest.run}), less {margin:.1%} ({why}); {about}"
        )
        value = float(f"{slowest.rate * (1 - margin):.3g}")
        yield f"  {name}: {{min: {value:g}, unit: {json.dumps(slowest.unit)}, source: {json.dumps(source)}}}"


def _margin(each: list[Reading]) -> tuple[float, str]:
    rates = [reading.rate for reading in each]
    options = [(LEAST_MARGIN, "the least")]
    options.append((max(reading.spread for reading in each), "the widest spread of rounds"))
    if len(rates) > 1:
        scatter = SIGMAS * statistics.stdev(rates) / statistics.fmean(rates)
        options.append((scatter, f"{SIGMAS:.0f} standard deviations between runs"))
    return max(options)


def _speed(result: Result) -> tuple[str, Evidence] | None:
    """The limit that a benchmark's rate was held against, and the rate; None for a result that is no benchmark's."""
    pairs = ((speed(held), evidence) for evidence in result.evidence for held in evidence.held_against)
    return next(((limit, evidence) for limit, evidence in pairs if limit), None)


def _machine(run: Run) -> str:
    return ",".join(sorted(gpu.uuid for gpu in run.machine.gpus)) or run.machine.hostname


def _require_alike(runs: list[Run]) -> None:
    """Raise CannotStart unless all are runs of the same profile, suite and kind of machine, on a real base image."""
    kinds: dict[str, set[object]] = {
        "profiles": {run.profile_sha256 for run in runs},
        "suites": {run.suite.sha256 for run in runs},
        "kinds of machine": {tuple(sorted(gpu.product for gpu in run.machine.gpus)) for run in runs},
    }
    for what, values in kinds.items():
        if len(values) > 1:
            raise CannotStart(f"These runs are of {len(values)} {what}.", "Calibrate with runs that are alike.")
    for run in runs:
        if run.image is not None and run.image.standin and run.profile.certifies:
            raise CannotStart(
                f"{run.name} worked on a stand-in for the base image.", "Calibrate with runs on NVIDIA's own."
            )


def about(runs: list[Run]) -> str:
    """Dates, driver and image of the runs, for a source."""
    days = sorted({run.started[:10] for run in runs})
    drivers = ", ".join(sorted({run.machine.driver or "no driver" for run in runs}))
    images = ", ".join(sorted({run.image.id[:19] if run.image else "no image" for run in runs}))
    return f"{days[0]}{f' to {days[-1]}' if len(days) > 1 else ''}, driver {drivers}, {images}"
