"""A headline figure says its number, what it is a share of, and which of several GPUs it is of."""

import pytest
from suites import kept_runs
from suites.certified import speed
from suites.example import finished, opened, planned

from dgxcert.judgement.limit import Bound
from dgxcert.profiles import profile as profiles
from dgxcert.record import run as runs
from dgxcert.record.figures import Figure
from dgxcert.record.run import Run
from dgxcert.report import headline_figure, html, markdown
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


def test_of_what_is_better_low_the_highest_is_shown() -> None:
    hot = Figure(
        "temperature", "highest temperature", 74.0, "°C", lowest_gpu=2, spread=15.0, gpus=4, higher_is_better=False
    )
    assert shown(hot).remarks == ("GPU 2, highest of 4, 15 °C apart",)
    slowed = Figure(
        "throttling", "throttled", 0.042, "of time", lowest_gpu=2, spread=0.042, gpus=4, higher_is_better=False
    )
    assert shown(slowed).number == "4.2"
    assert shown(slowed).remarks == ("for heat or by the power brake", "GPU 2, highest of 4, 4.2 % apart")


def of_ceiling(value: float) -> Run:
    """A rehearsal whose decoding has a ceiling of 16 token/s, and is 14 token/s of it."""
    key = "DECODE-SPEED[fp32-tuned-single]"
    cpu = profiles.load("cpu").model_copy(update={"not_applicable": {}, "not_applicable_native": {}})
    rate = speed("decode", 14.0).model_copy(update={"ceiling": Bound(value=value, unit="token/s", source="measured")})
    return runs.assemble([opened(planned(key), profile=cpu), finished(key, evidence=(rate,))], "run")


@pytest.mark.parametrize(
    ("ceiling", "share", "said"), [(16.0, "88%", False), (14.0, "100%", False), (7.0, "200%", True)]
)
def test_a_share_of_more_than_everything_is_explained(ceiling: float, share: str, said: bool) -> None:
    run = of_ceiling(ceiling)
    (decode,) = headline_figure.of(run)
    assert decode.remarks == (f"{share} of this run's ceiling",)
    for page in (html.render(run), markdown.render(run)):
        assert (headline_figure.OVER_CEILING in page) == said
