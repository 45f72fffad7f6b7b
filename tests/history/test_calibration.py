"""Runs of known-good machines become limits that a profile takes, each with where it comes from and what it allows."""

from pathlib import Path

import pytest
import yaml
from suites import timed_run
from suites.timed_run import LIMIT

from dgxcert import cli
from dgxcert.history import calibration
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.profiles import profile as profiles
from dgxcert.record import run as runs
from dgxcert.record import timings


def calibrated(*folders: Path) -> tuple[list[str], list[str]]:
    named = [(runs.load(folder), folder) for folder in folders]
    loaded = [(run, timings.of(run, folder)) for run, folder in named]
    found, left_out = calibration.readings(loaded)
    return list(calibration.lines(found, calibration.about([run for run, _ in loaded]))), left_out


def limit_of(lines: list[str]) -> dict[str, object]:
    (line,) = lines
    found: dict[str, object] = yaml.safe_load(line)[LIMIT]
    return found


def test_the_slowest_good_machine_less_what_the_spread_justifies(tmp_path: Path) -> None:
    rates = {"GPU-1": 20.0, "GPU-2": 19.0, "GPU-3": 21.0}
    folders = [timed_run.write(tmp_path / uuid, rate=rate, uuid=uuid) for uuid, rate in rates.items()]
    lines, left_out = calibrated(*folders)
    found = limit_of(lines)
    assert found["min"] == pytest.approx(19 * (1 - 3 * 1 / 20), rel=1e-2), "three deviations of 1 around 20"
    assert found["unit"] == "token/s"
    assert "slowest of 3 known-good machines in 3 runs 19 token/s (GPU-2), less 15.0%" in str(found["source"])
    assert "2026-11-23, driver 580.95.05, sha256:77" in str(found["source"])
    assert not left_out


def test_one_machine_is_provisional_and_two_percent_are_always_left(tmp_path: Path) -> None:
    found = limit_of(calibrated(timed_run.write(tmp_path / "one"))[0])
    assert found["min"] == pytest.approx(19.6)
    assert str(found["source"]).startswith("provisional: one machine only; slowest of 1 known-good machine in 1 run")


def test_what_is_printed_is_a_profile(tmp_path: Path) -> None:
    lines, _ = calibrated(timed_run.write(tmp_path / "one"))
    text = (profiles.SHIPPED / "dgx-spark.yaml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith(f"  {LIMIT}:")]
    place = kept.index("limits:")
    mine = "\n".join([*kept[: place + 1], *lines, *kept[place + 1 :]])
    assert profiles.parse(mine, Path("mine.yaml")).limits[LIMIT].min == pytest.approx(19.6)


def test_a_machine_below_a_guessed_limit_may_correct_it(tmp_path: Path) -> None:
    found = limit_of(calibrated(timed_run.write(tmp_path / "slow", rate=9.0))[0])
    assert found["min"] == pytest.approx(8.82)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"outcome": Outcome.INCONCLUSIVE}, "a reason"),
        ({"outcome": Outcome.FAILED}, "it failed otherwise"),
        ({"info": {"disturbance": "GPU 0 was shared"}}, "GPU 0 was shared"),
        ({"info": {"hot": 0.5}}, "for heat 50%"),
    ],
)
def test_a_run_that_says_nothing_is_left_out_and_named(tmp_path: Path, about: dict[str, object], words: str) -> None:
    good, bad = timed_run.write(tmp_path / "good"), timed_run.write(tmp_path / "bad", rate=15.0, **about)  # type: ignore[arg-type]
    lines, left_out = calibrated(good, bad)
    assert limit_of(lines)["min"] == pytest.approx(19.6)
    assert words in left_out[0]
    assert "bad" in left_out[0]


def test_readings_that_scatter_too_far_make_no_limit(tmp_path: Path) -> None:
    """Three deviations of them would leave a limit that no slow machine falls below, or one under zero."""
    folders = [timed_run.write(tmp_path / str(rate), rate=rate) for rate in (20.0, 16.0, 12.0)]
    lines, left_out = calibrated(*folders)
    assert not lines
    assert left_out[0].startswith(f"{LIMIT}: 75% would have to be left (3 standard deviations between runs)")


def test_runs_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one = timed_run.write(tmp_path / "one")
    other = profiles.load("cpu").model_copy(update={"summary": "another"})
    with pytest.raises(CannotStart, match="runs are of 2 profiles"):
        calibrated(one, timed_run.write(tmp_path / "two", profile=other))
    machine = timed_run.MACHINE.model_copy(update={"gpus": (timed_run.gpu("GPU-9", "NVIDIA H200"),)})
    three = timed_run.write(tmp_path / "three", machine=machine)
    with pytest.raises(CannotStart, match="runs are of 2 kinds of machine"):
        calibrated(one, three)


def test_the_command_prints_yaml_on_one_channel_and_remarks_on_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = timed_run.write(tmp_path / "good")
    bad = timed_run.write(tmp_path / "bad", info={"compiled": 1})
    monkeypatch.setattr("sys.argv", ["dgxcert", "calibrate", str(good), str(bad)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert not ended.value.code
    assert list(yaml.safe_load(said.out)["limits"]) == [LIMIT]
    assert "excluded: bad" in said.err


def test_no_speed_at_all_is_no_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = timed_run.write(tmp_path / "bad", info={"compiled": 1})
    monkeypatch.setattr("sys.argv", ["dgxcert", "calibrate", str(bad)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    assert "None of these runs holds a usable speed" in capsys.readouterr().err
