"""Strips show rounds against their median, and the caption tells the whole spread, not the drawn one."""

from suites.certified import speed
from suites.example import finished, opened, planned

from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report.plots import rounds

NOISY, CALM = "DECODE-SPEED[fp16-stock-single]", "DECODE-SPEED[bf16-tuned-single]"


def timed(**rounds_s: tuple[float, ...]) -> Run:
    seen = {key: speed(key, 14.0).model_copy(update={"rounds_s": seconds}) for key, seconds in rounds_s.items()}
    plan = [planned(key) for key in seen]
    return runs.assemble([opened(*plan), *(finished(key, evidence=(each,)) for key, each in seen.items())], "run")


def test_the_caption_tells_the_spread_of_every_round_and_how_many_are_at_the_edge() -> None:
    plot = rounds.plot(timed(**{NOISY: (0.07, 1.0, 1.0, 1.01, 4.3), CALM: (1.0, 1.0, 1.02)}))
    assert plot is not None
    assert f"Largest spread: {NOISY}, from -93.0% to +330.0%." in plot.alternative
    assert "Rounds beyond 25% are drawn at the edge: 2." in plot.alternative
    assert "The rounds of 2 benchmarks" in plot.alternative


def test_without_a_round_at_the_edge_nothing_is_said_of_it() -> None:
    plot = rounds.plot(timed(**{CALM: (1.0, 1.0, 1.02)}))
    assert plot is not None
    assert "edge" not in plot.alternative
    assert "The rounds of 1 benchmark, " in plot.alternative
    assert "from +0.0% to +2.0%." in plot.alternative


def test_the_fastest_and_the_slowest_of_many_rounds_are_drawn() -> None:
    strip = rounds.Strip(CALM, (*(0.0 for _ in range(500)), -0.1, *(0.0 for _ in range(500)), 0.2, 0.0))
    assert strip.drawn == [-0.1, 0.0, 0.2]


def test_rounds_without_a_duration_break_nothing() -> None:
    assert rounds.plot(timed(**{CALM: (0.0, 0.0)})) is not None
