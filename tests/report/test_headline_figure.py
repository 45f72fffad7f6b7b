"""A headline figure says its number, what it is a share of, and which of several GPUs it is of."""

import pytest
from suites import kept_runs

from dgxcert.record.figures import Figure
from dgxcert.report import headline_figure
from dgxcert.report.headline_figure import HeadlineFigure, shown


def test_a_measured_h200_reads_as_people_say_it() -> None:
    shown = {figure.label: figure for figure in headline_figure.of(kept_runs.load("2026-11-27-h200/second"))}
    assert shown["matmul bf16"] == HeadlineFigure("matmul bf16", "675", "TFLOP/s", False, ("68% of peak",))
    assert shown["prefill bf16"].number == "41,221"
    assert (shown["throttled"].number, shown["throttled"].unit) == ("0", "% of the time")


@pytest.mark.parametrize(
    ("about", "remarks"),
    [
        ({"share": 0.876, "share_of": "of ceiling"}, ("88% of this run's ceiling",)),
        ({"share": 0.0312, "share_of": "of roofline"}, ("3.1% of peak",)),
        ({"lowest_gpu": 1, "spread": 15.5, "gpus": 4}, ("GPU 1, lowest of 4, 15.5 token/s apart",)),
        ({"lowest_gpu": 1, "spread": 0.0, "gpus": 4}, ("GPU 1, lowest of 4",)),
        ({"unmeasured": 1}, ("1 GPU could not be measured",)),
        ({"unmeasured": 2}, ("2 GPUs could not be measured",)),
        ({}, ()),
    ],
)
def test_what_is_said_beside_the_number(about: dict[str, object], remarks: tuple[str, ...]) -> None:
    figure = Figure("decode-16bit", "decode bf16", 198.5, "token/s", **about)  # type: ignore[arg-type]
    assert shown(figure).remarks == remarks


def test_of_what_is_better_low_the_highest_isshown() -> None:
    hot = Figure(
        "temperature", "highest temperature", 74.0, "°C", lowest_gpu=2, spread=15.0, gpus=4, higher_is_better=False
    )
    assert shown(hot).remarks == ("GPU 2, highest of 4, 15 °C apart",)
    slowed = Figure(
        "throttling", "throttled", 0.042, "of time", lowest_gpu=2, spread=0.042, gpus=4, higher_is_better=False
    )
    assert (shown(slowed).number, shown(slowed).remarks) == ("4.2", ("GPU 2, highest of 4, 4.2 % apart",))
