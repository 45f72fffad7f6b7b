"""Runs of known-good machines become limits of a profile, each with its readings, margin and source."""

import math
from pathlib import Path

import pytest
from suites import timed_run
from suites.timed_run import LIMIT

from dgxcert.history import calibration
from dgxcert.judgement.limit import Limit
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.profiles import profile as profiles
from dgxcert.record import run as runs
from dgxcert.record import timings


def calibrated(*folders: Path) -> tuple[list[str], list[str]]:
    named = [(runs.load(folder), folder) for folder in folders]
    loaded = [(run, timings.of(run, folder)) for run, folder in named]
    by_limit, excluded = calibration.readings(loaded)
    return list(calibration.lines(by_limit, calibration.about([run for run, _ in loaded]))), excluded


def profile_of(lines: list[str]) -> profiles.Profile:
    """A user's profile that holds the printed limits."""
    text = "\n".join(["extends: dgx-spark", "certifies: false", "limits:", *lines])
    return profiles.parse(text, Path("mine.yaml"))


def limit_of(lines: list[str]) -> Limit:
    return profile_of(lines).limits[LIMIT]


def test_a_limit_is_the_slowest_reading_less_a_margin_for_the_spread(tmp_path: Path) -> None:
    rates = {"GPU-1": 20.0, "GPU-2": 19.0, "GPU-3": 21.0}
    folders = [timed_run.write(tmp_path / uuid, rate=rate, uuid=uuid) for uuid, rate in rates.items()]
    lines, excluded = calibrated(*folders)
    limit = limit_of(lines)
    assert limit.min == pytest.approx(19 * (1 - 3 * 1 / 20), rel=1e-2), "three deviations of 1 around 20"
    assert limit.unit == "token/s"
    assert limit.source.startswith("measured: 20 and 19 and 21 token/s, the lowest less 15 %; 3 runs of 3 known-good")
    assert "2026-11-23, driver 580.95.05, sha256:77" in limit.source
    assert limit.source.endswith("slowest in GPU-2; the margin is 3 standard deviations between runs")
    assert not excluded


def test_one_machine_is_provisional_and_the_margin_is_at_least_two_percent(tmp_path: Path) -> None:
    limit = limit_of(calibrated(timed_run.write(tmp_path / "one"))[0])
    assert limit.min == pytest.approx(19.6)
    assert "; 1 run of 1 known-good machine, " in limit.source
    assert "; provisional, one machine only; slowest in one; the margin is the least" in limit.source


def test_the_output_is_a_profile_in_the_format_of_the_shipped_ones(tmp_path: Path) -> None:
    lines, _ = calibrated(timed_run.write(tmp_path / "one"))
    assert lines[:6] == [
        f"  {LIMIT}:",
        "    reading: [20.0]",
        "    margin: 0.02",
        "    digits: 3",
        "    unit: token/s",
        "    basis: measured",
    ]
    assert profile_of(lines).limits.keys() == profiles.load("dgx-spark").limits.keys()


def test_limits_of_many_runs_stay_within_a_line(tmp_path: Path) -> None:
    folders = [timed_run.write(tmp_path / str(number), rate=20 + number / 1000) for number in range(40)]
    lines, _ = calibrated(*folders)
    assert max(map(len, lines)) <= 120
    assert limit_of(lines).min == pytest.approx(19.6)


def test_a_machine_below_a_guessed_limit_may_correct_it(tmp_path: Path) -> None:
    limit = limit_of(calibrated(timed_run.write(tmp_path / "slow", rate=9.0))[0])
    assert limit.min == pytest.approx(8.82)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"outcome": Outcome.INCONCLUSIVE}, "a reason"),
        ({"outcome": Outcome.FAILED}, "it failed otherwise"),
        ({"info": {"disturbance": "GPU 0 was shared"}}, "GPU 0 was shared"),
        ({"info": {"hot": 0.5}}, "for heat 50%"),
    ],
)
def test_an_unusable_run_is_excluded_and_named(tmp_path: Path, about: dict[str, object], reason: str) -> None:
    good, bad = timed_run.write(tmp_path / "good"), timed_run.write(tmp_path / "bad", rate=15.0, **about)  # type: ignore[arg-type]
    lines, excluded = calibrated(good, bad)
    assert limit_of(lines).min == pytest.approx(19.6)
    assert reason in excluded[0]
    assert "bad" in excluded[0]


def test_readings_that_scatter_too_far_make_no_limit(tmp_path: Path) -> None:
    """Three deviations would make a limit that slow machines pass, or a negative one."""
    folders = [timed_run.write(tmp_path / str(rate), rate=rate) for rate in (20.0, 16.0, 12.0)]
    lines, excluded = calibrated(*folders)
    assert not lines
    assert excluded[0].startswith(f"{LIMIT}: it needs a margin of 75% (3 standard deviations between runs)")


def test_runs_of_different_profiles_suites_or_machines_are_refused(tmp_path: Path) -> None:
    one = timed_run.write(tmp_path / "one")
    other = profiles.load("cpu").model_copy(update={"summary": "another"})
    with pytest.raises(CannotStart, match="runs are of 2 profiles"):
        calibrated(one, timed_run.write(tmp_path / "two", profile=other))
    machine = timed_run.MACHINE.model_copy(update={"gpus": (timed_run.gpu("GPU-9", "NVIDIA H200"),)})
    three = timed_run.write(tmp_path / "three", machine=machine)
    with pytest.raises(CannotStart, match="runs are of 2 kinds of machine"):
        calibrated(one, three)


def test_a_single_round_has_no_spread_that_is_known() -> None:
    assert calibration.spread_of((4.0,)) == math.inf
