"""Bars: each benchmark's rate, its share of what can be reached, and its limit. The page draws them as a table."""

import math
from dataclasses import dataclass

from dgxcert.console import on_one_line, printable
from dgxcert.judgement.evidence import Comparison, Evidence, format_quantity
from dgxcert.judgement.limit import Bound
from dgxcert.judgement.units import OF_CEILING, OF_ROOFLINE
from dgxcert.outcome import Outcome
from dgxcert.record.run import Result, Run
from dgxcert.report import benchmark_name
from dgxcert.report.plots import ceilings
from dgxcert.report.words import percent

MOST = 80
"""Bars that are drawn; of more, those of benchmarks that did not pass come first."""
WIDEST = 1.5
"""The largest share that a bar shows; a longer one is cut there, and its number says how long it is."""
FIGURE_CHARS = 18


@dataclass(frozen=True)
class Bar:
    """One benchmark; shares are of its bound, `fill` and `mark` percentages of the width of the plot."""

    key: str
    label: str
    outcome: Outcome
    figure: str
    share: str
    fill: float | None
    mark: float | None
    """Where the limit is; None where it has none that can be drawn."""


@dataclass(frozen=True)
class Bars:
    """All bars, in groups; `omitted` is the number of benchmarks that are not shown."""

    title: str
    caption: str
    share_of: str
    groups: dict[str, tuple[Bar, ...]]
    omitted: int


def bars(run: Run) -> Bars | None:
    """The bars of a run's benchmarks; None where nothing was timed."""
    timed = [(result, item) for result in run.results for item in _timed(result)]
    if not timed:
        return None
    urgent = sorted(timed, key=lambda pair: pair[0].outcome is Outcome.PASSED)[:MOST]
    chosen = {result.key: (result, item) for result, item in urgent}
    shares = [share for result, item in chosen.values() if (share := _share(run, item)) is not None]
    widest = min(WIDEST, max([1.0, *shares]))
    groups: dict[str, list[Bar]] = {}
    for key, name in benchmark_name.names(chosen).items():
        result, item = chosen[key]
        groups.setdefault(name.group, []).append(_bar(run, result, item, name.label, widest))
    measured = ceilings.are_measured(run)
    return Bars(
        title=_title(measured=measured) if shares else "Benchmarks",
        caption=_caption(run, [result for result, _ in chosen.values()], shares, any_mark=_has_mark(groups)),
        share_of="of ceiling" if measured else "of peak",
        groups={name: tuple(each) for name, each in groups.items()},
        omitted=len(timed) - len(chosen),
    )


def _title(*, measured: bool) -> str:
    return "Benchmarks against " + ("this run's own ceilings" if measured else "theoretical peaks")


def _bar(run: Run, result: Result, item: Evidence, label: str, widest: float) -> Bar:
    share, limit = _share(run, item), _limit(run, item)
    return Bar(
        key=result.key,
        label=label,
        outcome=result.outcome,
        figure=on_one_line(format_quantity(item.value, item.unit))[:FIGURE_CHARS],
        share="" if share is None else percent(share),
        fill=None if share is None else _percent(share, widest),
        mark=None if limit is None else _percent(limit, widest),
    )


def _percent(share: float, widest: float) -> float:
    return round(100 * min(max(share, 0.0), widest) / widest, 1)


def _has_mark(groups: dict[str, list[Bar]]) -> bool:
    return any(bar.mark is not None for each in groups.values() for bar in each)


def _caption(run: Run, shown: list[Result], shares: list[float], *, any_mark: bool) -> str:
    """What the bars are, from what they show."""
    if ceilings.are_measured(run):
        name = printable(run.profile.name)
        rates = "the matmul rate and memory bandwidth that were measured in this run"
        of = f"what {rates} allow; profile {name} knows no peak of this machine"
    else:
        of = f"the peak that profile {printable(run.profile.name)} states"
    words = [f"Each bar is the share of {of}."] if shares else ["Nothing is known that these rates could be shares of."]
    if shares and max(shares) > 1:
        words.append(f"The highest share is {max(shares):.0%}.")
    if shares and max(shares) > WIDEST:
        words.append(f"Bars longer than {WIDEST:.0%} are cut.")
    if any_mark:
        words.append("The line across a bar is the limit.")
    missed = sum(result.outcome is not Outcome.PASSED for result in shown)
    words.append(f"{missed} of {len(shown)} did not pass." if missed else f"All {len(shown)} passed.")
    return " ".join(words)


def _timed(result: Result) -> list[Evidence]:
    """The rate that a benchmark is about."""
    return [item for item in result.evidence if item.rounds_s and not isinstance(item.value, bool | str)][:1]


def _share(run: Run, item: Evidence) -> float | None:
    return _of(ceilings.bound(run, item), item.value)


def _of(bound: Bound | None, rate: object) -> float | None:
    """A rate as a share of its bound; None where it cannot be one."""
    if bound is None or bound.value <= 0 or not isinstance(rate, int | float):
        return None
    share = float(rate) / bound.value
    return share if math.isfinite(share) else None


def _limit(run: Run, item: Evidence) -> float | None:
    """The highest lower limit that it was compared with, as a share of its bound."""
    limits = [_limit_as_rate(item, comparison) for comparison in item.held_against if comparison.sign == ">="]
    rates = [rate for rate in limits if rate is not None]
    return _of(ceilings.bound(run, item), max(rates, default=None))


def _limit_as_rate(item: Evidence, comparison: Comparison) -> float | None:
    """A limit in the unit of what it limits; None where it is a share of what is not known."""
    if isinstance(comparison.value, bool | str):
        return None
    of = {OF_ROOFLINE: item.roofline, OF_CEILING: item.ceiling}
    if comparison.unit not in of:
        return float(comparison.value)
    bound = of[comparison.unit]
    return float(comparison.value) * bound.value if bound else None
