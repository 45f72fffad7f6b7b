"""A workload is drawn at its arithmetic intensity and the TFLOP/s that it reached, under the machine's own peaks."""

import pytest
from suites import kept_runs
from suites.certified import speed
from suites.example import finished, opened, planned

from dgxcert.judgement.limit import Roofline
from dgxcert.profiles import profile as profiles
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report.plots import ceilings, roofline

KEY = "DECODE-SPEED[bf16-tuned-single]"
CEILING = Roofline(value=16.0, unit="token/s", source="measured", intensity=2.0, tflops=0.4)


def decoded(profile: str, *, ceiling: Roofline | None = CEILING) -> Run:
    """A run that decoded 14 token/s, of a roofline of 20 and a ceiling of 16."""
    rate = speed("decode", 14.0, intensity=2.0).model_copy(update={"ceiling": ceiling})
    named = profiles.load(profile).model_copy(update={"not_applicable": {}, "not_applicable_native": {}})
    return runs.assemble([opened(planned(KEY), profile=named), finished(KEY, evidence=(rate,))], "run")


def test_a_workload_is_drawn_at_its_intensity_and_rate() -> None:
    run = decoded("h200")
    (point,) = roofline._points(run, run.results[0])
    assert (point.share, point.intensity, point.tflops) == (14.0 / 20.0, 2.0, pytest.approx(14.0 / 20.0 * 0.54))


@pytest.mark.parametrize("profile", ["cpu", "generic-nvidia"])
def test_a_profile_that_knows_no_peak_of_the_machine_is_drawn_under_what_the_run_measured(profile: str) -> None:
    plot = roofline.plot(decoded(profile))
    assert plot is not None
    assert "the highest ceilings measured in this run (dashed, 200 GB/s and 0.4 TFLOP/s)" in plot.alternative
    assert f"Profile {profile} knows no peak of this machine." in plot.alternative
    assert "Highest share of its own ceiling: DECODE-SPEED[bf16-tuned-single], 88%." in plot.alternative
    assert "theoretical" not in plot.alternative
    assert "peak" not in plot.svg


def test_a_profile_of_a_machine_is_drawn_under_its_own_peaks_and_those_measured() -> None:
    plot = roofline.plot(decoded("h200"))
    assert plot is not None
    assert (
        "profile h200 (solid, 4,800 GB/s and 989.5 TFLOP/s) and the highest ceilings measured in this run"
        in plot.alternative
    )
    assert plot.alternative.endswith("Highest share of its roofline: DECODE-SPEED[bf16-tuned-single], 70%.")
    unmeasured = roofline.plot(decoded("h200", ceiling=None))
    assert unmeasured is not None
    assert "no ceiling was measured in this run" in unmeasured.alternative
    assert "dashed" not in unmeasured.alternative


def test_without_peaks_and_ceilings_nothing_is_drawn() -> None:
    assert roofline.plot(decoded("cpu", ceiling=None)) is None


def test_the_ceilings_of_a_measured_h200_are_those_that_its_benchmarks_name() -> None:
    """Their sources: `4274 GB/s over 15.08 GB per token`, `794.9 TFLOP/s over 60.6 TFLOP per step`."""
    roof = ceilings.of_run(kept_runs.load("2026-11-27-h200/first"))
    assert roof is not None
    assert (round(roof.gb_s), round(roof.tflops, 1)) == (4274, 794.9)
