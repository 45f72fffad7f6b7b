"""Headline figures in words, for report.html and summary.md: number, unit, share of the peak, and the other GPUs."""

from dataclasses import dataclass

from dgxcert.console import counted, on_one_line
from dgxcert.judgement.units import OF_CEILING, OF_TIME
from dgxcert.record import figures
from dgxcert.record.figures import Figure
from dgxcert.record.run import Run
from dgxcert.report.words import percent

OVER_CEILING = (
    "More than 100% of a ceiling: a ceiling is measured at another moment of the run, and came out too low "
    "because something else was working then, or because the workload fits into a cache."
)
"""What a share of more than everything means. No run has one of a profile's peaks."""
THROTTLED_BY = {"throttling": "for heat or by the power brake"}
"""A plot of the same load may show it at its usual power limit, which is no throttling."""


@dataclass(frozen=True)
class HeadlineFigure:
    """One figure as it is shown; `remarks` say what it is a share of, and which GPU it is of."""

    label: str
    number: str
    unit: str
    failed: bool
    remarks: tuple[str, ...]


def of(run: Run) -> list[HeadlineFigure]:
    """The headline figures of a run, in order."""
    return [shown(figure) for figure in figures.figures(run)]


def explained(run: Run) -> str:
    """What must be said below the figures, that no share looks impossible; empty where none does."""
    over = any(each.share_of == OF_CEILING and (each.share or 0.0) >= 1.005 for each in figures.figures(run))
    return OVER_CEILING if over else ""


def shown(figure: Figure) -> HeadlineFigure:
    """A figure as it is shown."""
    percent = figure.unit == OF_TIME
    number = rounded(100 * figure.value if percent else figure.value)
    unit = "% of the time" if percent else figure.unit
    remarks = (_share(figure), THROTTLED_BY.get(figure.name, ""), _other_gpus(figure), _unmeasured(figure))
    label = on_one_line(figure.label)
    return HeadlineFigure(label, number, unit, figure.failed, tuple(filter(None, remarks)))


def rounded(value: float) -> str:
    """A number with three significant digits, or whole from 1000 on.

    >>> rounded(41220.8), rounded(674.94), rounded(2.7772), rounded(0.0)
    ('41,221', '675', '2.78', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _share(figure: Figure) -> str:
    if figure.share is None:
        return ""
    of = "this run's ceiling" if figure.share_of == OF_CEILING else "peak"
    return f"{percent(figure.share)} of {of}"


def _other_gpus(figure: Figure) -> str:
    if figure.lowest_gpu is None:
        return ""
    extreme = "lowest" if figure.higher_is_better else "highest"
    times, unit = (100, "%") if figure.unit == OF_TIME else (1, figure.unit)
    apart = f", {rounded(times * figure.spread)} {unit} apart" if figure.spread else ""
    return f"GPU {figure.lowest_gpu}, {extreme} of {figure.gpus}{apart}"


def _unmeasured(figure: Figure) -> str:
    if not figure.unmeasured:
        return ""
    return f"{counted(figure.unmeasured, 'GPU')} could not be measured"
