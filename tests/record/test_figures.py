"""Headline figures come from conclusive evidence alone; of several GPUs the worst counts."""

from typing import Any

import pytest
from suites import kept_runs
from suites.example import finished, opened, planned

from dgxcert.judgement.evidence import Evidence
from dgxcert.outcome import Outcome
from dgxcert.profiles import profile as profiles
from dgxcert.record import run as runs
from dgxcert.record.figures import WANTED, Figure, figures, has_own_peaks
from dgxcert.record.run import Run


def reading(name: str, value: Any, unit: str, **about: Any) -> Evidence:
    """One quantity; with `least`, one that is compared with a limit."""
    least = about.pop("least", value)
    held = {"sign": ">=", "name": name, "value": least, "unit": unit, "source": "x", "measured": value}
    number = isinstance(value, int | float)
    held_against = [held | {"holds": not number or value >= least}]
    return Evidence.model_validate(
        {"name": name, "value": value, "unit": unit, "source": "here", "held_against": held_against} | about
    )


def measured(profile: str = "h200", /, **keys: tuple[Outcome, list[Evidence]] | list[Evidence]) -> Run:
    """A run in which each key ended with an outcome and this evidence: passed, where only evidence is given."""
    endings = {key: ending if isinstance(ending, tuple) else (Outcome.PASSED, ending) for key, ending in keys.items()}
    plan = [planned(key) for key in endings]
    ended = [finished(key, outcome, evidence=tuple(kept)) for key, (outcome, kept) in endings.items()]
    return runs.assemble([opened(*plan, profile=profiles.load(profile)), *ended], "run")


def the(name: str, run: Run) -> Figure:
    return next(figure for figure in figures(run) if figure.name == name)


def names(run: Run) -> list[str]:
    return [figure.name for figure in figures(run)]


DECODE = "DECODE-SPEED[bf16-tuned-single]"


def test_a_measured_h200_has_the_figures_that_its_page_lists() -> None:
    """docs/measurements/2026-11-27-h200/README.md."""
    run = kept_runs.load("2026-11-27-h200/second")
    shown = {figure.name: (figure.label, round(figure.value, 1), figure.unit) for figure in figures(run)}
    assert shown == {
        "matmul": ("matmul bf16", 674.9, "TFLOP/s"),
        "memory-bandwidth": ("memory bandwidth read", 4342.9, "GB/s"),
        "prefill-16bit": ("prefill bf16", 41220.8, "token/s"),
        "prefill-4bit": ("prefill nf4", 30144.3, "token/s"),
        "time-to-first-token": ("time to first token bf16 stock", 63.7, "ms"),
        "lora-steps": ("LoRA bf16 large", 2.8, "step/s"),
        "lora-tokens": ("LoRA bf16 large", 17066.1, "token/s"),
        "throttling": ("throttled", 0.0, "of time"),
    }
    matmul = the("matmul", run)
    assert (round(matmul.share or 0, 3), matmul.share_of) == (0.682, "of roofline")


def test_energy_and_temperature_of_a_measured_h200() -> None:
    run = kept_runs.load("2026-11-27-h200/first")
    assert the("temperature", run).value == 59.0
    assert the("energy-per-token", run).value == pytest.approx(2.745, abs=0.001)
    assert the("time-per-token", run).value == pytest.approx(4.704, abs=0.001)


def test_they_come_in_one_order_whatever_the_order_of_the_results() -> None:
    run = kept_runs.load("2026-11-27-h200/first")
    backwards = run.model_copy(update={"results": tuple(reversed(run.results))})
    assert names(backwards) == names(run)
    order = [wanted.name for wanted in WANTED]
    assert names(run) == sorted(names(run), key=order.index)


@pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, Outcome.PASSED, Outcome.FAILED])
def test_what_was_inconclusive_has_no_figure_and_what_failed_is_marked(outcome: Outcome) -> None:
    run = measured(**{DECODE: (outcome, [reading("decode", 9.8, "token/s", least=9.8 + (outcome is Outcome.FAILED))])})
    found = [(figure.name, figure.failed) for figure in figures(run)]
    assert found == ([] if outcome is Outcome.INCONCLUSIVE else [("decode-16bit", outcome is Outcome.FAILED)])


def test_the_worst_of_several_gpus_counts_and_the_spread_is_told() -> None:
    rates = (212.0, 198.5, 211.0, 214.0)
    keys = [f"DECODE-SPEED[bf16-tuned-single-gpu{gpu}]" for gpu in range(4)]
    decode = [
        [reading("decode", rate, "token/s", roofline={"value": 318.0, "unit": "token/s", "source": "x"})]
        for rate in rates
    ]
    times = [[reading("highest temperature", value, "°C")] for value in (61.0, 59.0, 74.0, 60.0)]
    thermal = [f"GPU-THERMAL[gpu{gpu}]" for gpu in range(4)]
    run = measured(**dict(zip(keys, decode, strict=True)), **dict(zip(thermal, times, strict=True)))
    slowest = the("decode-16bit", run)
    assert (slowest.label, slowest.value, slowest.lowest_gpu, slowest.spread) == ("decode bf16", 198.5, 1, 15.5)
    assert slowest.share == pytest.approx(198.5 / 318)
    assert slowest.keys == tuple(keys)
    hottest = the("temperature", run)
    assert (hottest.value, hottest.lowest_gpu, hottest.spread, hottest.gpus) == (74.0, 2, 15.0, 4)


def test_a_gpu_that_could_not_be_measured_is_counted_and_one_that_failed_marks_the_figure() -> None:
    fast, slow = reading("decode", 212.0, "token/s"), reading("decode", 9.8, "token/s", least=13.0)
    run = measured(
        **{
            "DECODE-SPEED[bf16-tuned-single-gpu0]": [fast],
            "DECODE-SPEED[bf16-tuned-single-gpu1]": (Outcome.INCONCLUSIVE, [fast]),
            "DECODE-SPEED[bf16-tuned-single-gpu2]": (Outcome.FAILED, [slow]),
        }
    )
    decode = the("decode-16bit", run)
    assert (decode.value, decode.failed, decode.gpus, decode.unmeasured) == (9.8, True, 2, 1)


def test_a_gpu_that_failed_without_a_reading_marks_the_figure_of_the_others() -> None:
    run = measured(
        **{
            "DECODE-SPEED[bf16-tuned-single-gpu0]": [reading("decode", 212.0, "token/s")],
            "DECODE-SPEED[bf16-tuned-single-gpu1]": (Outcome.FAILED, []),
        }
    )
    decode = the("decode-16bit", run)
    assert (decode.value, decode.failed, decode.gpus) == (212.0, True, 1)


def test_what_a_labs_own_check_records_is_no_figure_and_counts_no_limit() -> None:
    limit = next(name for name, each in profiles.load("h200").limits.items() if each.basis)
    hot = reading("highest temperature", 480.0, "°C")
    held = tuple(each.model_copy(update={"source": f"limit {limit}: x"}) for each in hot.held_against)
    hot = hot.model_copy(update={"held_against": held})
    plan = [planned("A", group="gpu"), planned("OWN-HOT", group="own")]
    ended = [finished("A", Outcome.PASSED), finished("OWN-HOT", Outcome.PASSED, evidence=(hot,))]
    run = runs.assemble([opened(*plan, profile=profiles.load("h200")), *ended], "run")
    assert figures(run) == ()
    assert set((run.limits or {}).values()) == {0}, "its comparisons are not those of the certificate"


def test_another_case_takes_the_place_of_one_that_was_not_measured_and_is_named() -> None:
    stock = measured(
        **{DECODE: (Outcome.INCONCLUSIVE, []), "DECODE-SPEED[fp16-stock-single]": [reading("decode", 40.6, "token/s")]}
    )
    assert the("decode-16bit", stock).label == "decode fp16 stock"
    assert the("lora-steps", measured(**{"LORA-SPEED[nf4-tuned-large]": [reading("LoRA", 2.0, "step/s")]})).label == (
        "LoRA nf4 large"
    )


def test_32_bits_are_a_headline_only_where_16_were_not_measured() -> None:
    fp32 = {"DECODE-SPEED[fp32-tuned-single]": [reading("decode", 66.9, "token/s")]}
    assert names(measured(**fp32)) == ["decode-32bit"]
    assert names(measured(**fp32, **{DECODE: [reading("decode", 212.0, "token/s")]})) == ["decode-16bit"]


@pytest.mark.parametrize(
    ("profile", "own"), [("cpu", False), ("generic-nvidia", False), ("h200", True), ("dgx-spark", True)]
)
def test_shares_are_of_the_roofline_only_where_the_peaks_are_the_machines(profile: str, own: bool) -> None:
    bounds = {
        "roofline": {"value": 400.0, "unit": "token/s", "source": "x"},
        "ceiling": {"value": 250.0, "unit": "token/s", "source": "x"},
    }
    run = measured(profile, **{DECODE: [reading("decode", 200.0, "token/s", **bounds)]})
    assert has_own_peaks(run.profile) is own
    decode = the("decode-16bit", run)
    assert (decode.share, decode.share_of) == ((0.5, "of roofline") if own else (0.8, "of ceiling"))


@pytest.mark.parametrize(
    ("value", "unit"), [("fast", "token/s"), (True, "token/s"), (212.0, "row/s")], ids=["text", "yes", "unit"]
)
def test_what_is_no_number_of_that_unit_is_no_figure(value: Any, unit: str) -> None:
    assert not figures(measured(**{DECODE: [reading("decode", value, unit)]}))


def test_the_worst_slowdown_for_heat_or_power_of_any_requirement_counts_but_not_a_power_cap() -> None:
    run = measured(
        **{
            "GPU-THERMAL": [reading("slowed down for heat", 0.0, "of time")],
            "GPU-POWER": [reading("power brake", 0.02, "of time"), reading("power capped", 1.0, "of time")],
            DECODE: (Outcome.FAILED, [reading("slowed down for heat of decode", 0.04, "of time")]),
        }
    )
    throttled = the("throttling", run)
    assert (throttled.value, throttled.keys, throttled.failed) == (0.04, (DECODE,), False)


def test_a_temperature_above_its_limit_is_marked() -> None:
    hot = reading("highest temperature", 91.0, "°C")
    too_hot = hot.model_copy(update={"held_against": [hot.held_against[0].model_copy(update={"holds": False})]})
    assert the("temperature", measured(**{"GPU-THERMAL": (Outcome.FAILED, [too_hot])})).failed
    assert not the("temperature", measured(**{"GPU-THERMAL": (Outcome.FAILED, [hot])})).failed


def test_a_run_that_measured_nothing_has_no_figures() -> None:
    assert figures(measured(**{"GPU-PRESENT": []})) == ()


def test_the_slowest_gpu_at_work_with_all_is_a_figure_of_the_machine() -> None:
    reached = [reading("slowest beside its siblings", 0.96, "of median")]
    figure = the("slowest-gpu", measured(**{"ALL-GPUS-LOAD": reached}))
    assert (figure.value, figure.unit, figure.gpus, figure.lowest_gpu) == (0.96, "of median", 1, None)
    assert "slowest-gpu" not in names(measured(**{"ALL-GPUS-MEMORY": reached}))
