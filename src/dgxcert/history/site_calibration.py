"""Site calibration: what runs of good machines reached, as limits tighter than those that ship.

A limit is the worst reading of all runs less a margin, the widest of

- 2 %, as clocks and timers are no more accurate,
- the spread of the rounds within a run,
- k times the scatter between runs or machines, with k of a one-sided normal tolerance interval (NIST/SEMATECH
  e-Handbook, 7.2.6.3): with 95 % confidence, 99 % of good machines are above the limit. The scatter of few runs is
  easily too small by chance, so it is never less than that of all benchmarks of its kind together,
- 8 % where the runs are of fewer than three machines, which do not show how machines differ: published readings of
  healthy DGX Sparks differ by 7 % (180 to 192 GB/s, 80 to 86 TFLOP/s).

A limit that would not be tighter than the shipped one is left as it ships, and named.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

from dgxcert.files import yaml_document
from dgxcert.history import timeline
from dgxcert.history.calibration import DIGITS, MAX_MARGIN, MIN_MARGIN, WIDTH, about, spread_of
from dgxcert.judgement.limit import Basis
from dgxcert.judgement.units import QUANTITIES, SPEEDS
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import CannotStart
from dgxcert.profiles import profile as profiles
from dgxcert.profiles import site_record
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.quantity import WrittenLimit
from dgxcert.profiles.site_record import LEAST_RUNS
from dgxcert.record import clock, contradictions
from dgxcert.record import run as runs
from dgxcert.record.journal import Event
from dgxcert.record.run import Run
from dgxcert.record.timings import Timing

FEW_MACHINES = 0.08
"""The least margin for runs of fewer than `LEAST_RUNS` machines."""
TOLERANCE = {3: 10.55, 4: 7.04, 5: 5.74, 6: 5.06, 7: 4.64, 8: 4.35, 9: 4.14, 10: 3.98}
"""One-sided tolerance factors for 99 % of a normal distribution with 95 % confidence, by number of readings."""
ALSO = ("clock.under_load", *(name for name in QUANTITIES if name.startswith("together.")))
"""Quantities besides speeds that say how good a machine is. Temperatures follow the room, free disk space its user."""


@dataclass(frozen=True)
class Candidate:
    """A run folder's content: the run, its record, its benchmarks, and the SHA-256 of its run.json."""

    run: Run
    events: list[Event]
    timings: dict[str, Timing]
    sha256: str


@dataclass(frozen=True)
class Made:
    """The content of a site profile, what is left as it ships with the reason, and what else to know of it."""

    text: str
    tightened: tuple[str, ...]
    kept: tuple[str, ...]
    warnings: tuple[str, ...]


class _Dumper(yaml.SafeDumper):
    """Quotes each text that the reader of site profiles refuses bare: one hash in 256 begins with 0b."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    bare = yaml_document.AMBIGUOUS.fullmatch(text) or yaml_document.NUMBER.fullmatch(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if bare else None)


_Dumper.add_representer(str, _text)


def make(candidates: Sequence[Candidate], who: str, made: date) -> Made:
    """The site profile that some runs make. Raises CannotStart where they are too few, unfit, or tighten nothing."""
    _require_fit(candidates)
    found = [each.run for each in candidates]
    shipped = profiles.load(found[0].profile.name)
    values, spreads = _readings(candidates)
    machines = len({timeline.known_as(run.machine) for run in found})
    limits, kept = _limits(shipped, values, spreads, found)
    if not limits:
        raise CannotStart("These runs tighten no limit.", "Keep the limits that ship, or calibrate with more runs.")
    head = {
        "tightens": shipped.name,
        "profile_sha256": shipped.sha256,
        "suite_sha256": found[0].suite.sha256,
        "who": who,
        "made": made,
        "runs": [_named(each) for each in candidates],
    }
    text = yaml.dump(head, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    text += _flowing({"limits": limits})
    few = [f"the runs are of {machines} of {LEAST_RUNS} machines: they do not show how machines differ"]
    return Made(text, tuple(limits), tuple(kept), tuple(few if machines < LEAST_RUNS else []))


def _limits(
    shipped: Profile, values: dict[str, list[float]], spreads: dict[str, float], found: Sequence[Run]
) -> tuple[dict[str, Any], list[str]]:
    """The limits that the runs tighten, as a file writes them, and why each other one is left as it ships."""
    machines = len({timeline.known_as(run.machine) for run in found})
    source = f"{len(found)} runs of {machines} good machine{'' if machines == 1 else 's'}, {about(list(found))}"
    limits: dict[str, Any] = {}
    kept = []
    for name in (name for name in QUANTITIES if name in values):
        margin, reason = _margin(name, values, spreads[name], found)
        if margin > MAX_MARGIN:
            kept.append(f"{name}: it would need a margin of {margin:.0%} ({reason})")
            continue
        written: dict[str, Any] = {
            "reading": [float(f"{value:.6g}") for value in values[name]],
            "margin": float(f"{margin:.4g}"),
            "digits": DIGITS,
            "unit": shipped.limits[name].unit,
            "basis": Basis.MEASURED.value,
            "source": source,
            "note": f"the margin is {reason}",
        }
        if problem := site_record.problem(shipped.limits[name], WrittenLimit(**written).recorded(name)):
            kept.append(f"{name}: {problem}")
        else:
            limits[name] = written
    return limits, kept


def _flowing(content: dict[str, Any]) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=WIDTH)


def _named(candidate: Candidate) -> dict[str, str]:
    machine = candidate.run.machine
    about_it = {"name": candidate.run.name, "hostname": machine.hostname, "machine": timeline.known_as(machine)}
    return about_it | {"sha256": candidate.sha256}


def _require_fit(candidates: Sequence[Candidate]) -> None:
    """Raise CannotStart unless there are enough different runs, each fit and all alike; every unfit one is named."""
    unfit = [f"{each.run.name}: {reason}" for each in candidates if (reason := unfitness(each))]
    if unfit:
        raise CannotStart(
            f"Not every run is one of a good machine: {'; '.join(unfit)}.",
            "Calibrate with complete runs that passed everything.",
        )
    began = Counter((timeline.known_as(each.run.machine), each.run.started) for each in candidates)
    if began and began.most_common(1)[0][1] > 1:
        raise CannotStart("Two of these runs are the same one.", "Name each run once.")
    if len(candidates) < LEAST_RUNS:
        raise CannotStart(
            f"{len(candidates)} runs do not show how much good machines scatter; {LEAST_RUNS} are needed.",
            "Validate more of them, best each on a machine of its own.",
        )
    kinds: dict[str, set[object]] = {
        "profiles": {each.run.profile.name for each in candidates},
        "suites": {each.run.suite.sha256 for each in candidates},
        "kinds of machine": {tuple(sorted(gpu.product for gpu in each.run.machine.gpus)) for each in candidates},
        "stacks": {each.run.image.lock_sha256 if each.run.image else None for each in candidates},
    }
    for kind, values in kinds.items():
        if len(values) > 1:
            raise CannotStart(f"These runs are of {len(values)} {kind}.", "Calibrate with runs that are alike.")


def unfitness(candidate: Candidate) -> str:
    """Why a run must not become part of a site profile, or ""."""
    run, wanted = candidate.run, Verdict.CERTIFIED if candidate.run.profile.certifies else Verdict.REHEARSED
    if runs.assemble(candidate.events, run.name) != run:
        return "its run.json is not what its record gives"
    if found := [*filter(None, [clock.problem(candidate.events)]), *contradictions.find(candidate.events)]:
        return found[0]
    if run.profile.own or run.profile.without_site != profiles.load(run.profile.name):
        return f"its profile {run.profile.name} is not the one that ships here"
    if run.waived:
        return f"{run.waived[0].key} did not pass and is waived"
    if run.judgement.verdict is not wanted:
        return f"its verdict is {run.judgement.verdict.value}, not {wanted.value}"
    if run.suite.modified is not False:
        return "its suite is not known to be unmodified"
    spoiled = [timing for timing in candidate.timings.values() if timing.spoiled]
    return f"{spoiled[0].requirement}: {spoiled[0].spoiled}" if spoiled else ""


def _readings(candidates: Sequence[Candidate]) -> tuple[dict[str, list[float]], dict[str, float]]:
    """The worst reading of each run by limit, in its unit, of the limits that all runs have; and the widest spread."""
    values: dict[str, list[float]] = {}
    spreads: dict[str, float] = {}
    for candidate in candidates:
        worst: dict[str, float] = {}
        for result in candidate.run.results:
            for comparison in (each for item in result.evidence for each in item.held_against):
                name = comparison.limit
                if name is None or comparison.sign != ">=" or not (name.split(".")[0] in SPEEDS or name in ALSO):
                    continue
                worst[name] = min(worst.get(name, math.inf), float(comparison.measured))
                timing = candidate.timings.get(result.key)
                spreads[name] = max(spreads.get(name, 0.0), spread_of(timing.seconds) if timing else 0.0)
        for name, value in worst.items():
            values.setdefault(name, []).append(value)
    return {name: readings for name, readings in values.items() if len(readings) == len(candidates)}, spreads


def _margin(name: str, values: dict[str, list[float]], spread: float, found: Sequence[Run]) -> tuple[float, str]:
    """How far below the worst reading a limit is, as a share of it, and why that much."""
    kind = name.split(".")[0]
    scatters = [scatter(values[each], found) for each in values if each.split(".")[0] == kind]
    pooled = math.sqrt(statistics.fmean(each**2 for each in scatters))
    machines = len({timeline.known_as(run.machine) for run in found})
    readings = machines if machines >= LEAST_RUNS else len(found)
    factor = TOLERANCE[min(readings, max(TOLERANCE))]
    options = [
        (MIN_MARGIN, "the least"),
        (spread, "the widest spread of rounds"),
        (factor * max(scatter(values[name], found), pooled), f"{factor:g} standard deviations between runs"),
    ]
    if machines < LEAST_RUNS:
        options.append((FEW_MACHINES, f"the least for runs of fewer than {LEAST_RUNS} machines"))
    return max(options)


def scatter(readings: Sequence[float], found: Sequence[Run]) -> float:
    """Standard deviation between runs, or between machines if that is larger, as a share of the mean."""
    by_machine: dict[str, list[float]] = {}
    for run, value in zip(found, readings, strict=True):
        by_machine.setdefault(timeline.known_as(run.machine), []).append(value)
    means = [statistics.fmean(each) for each in by_machine.values()]
    between = statistics.stdev(means) if len(means) >= LEAST_RUNS else 0.0
    return max(statistics.stdev(readings), between) / statistics.fmean(readings)
