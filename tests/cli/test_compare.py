"""`compare` compares a run with another or its baseline; `calibrate` prints limits on stdout."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from suites import timed_run
from suites.commands import Result
from suites.example import image_ready, opened, planned, record
from suites.timed_run import DECODE, LIMIT

from dgxcert import cli
from dgxcert.outcome import Outcome
from dgxcert.record import journal

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def text(result: Result) -> str:
    """All that a command printed, on one line."""
    return " ".join((result.out + result.err).split())


def test_two_runs_are_compared_and_other_differences_come_first(dgxcert: Command, tmp_path: Path) -> None:
    a = timed_run.write(tmp_path / "a")
    b = timed_run.write(tmp_path / "b", rate=15.0, uuid="GPU-2")
    result = dgxcert("compare", a, b)
    assert result.code == 1
    assert f"{DECODE} slower +33.3% ±2.2%" in text(result)
    assert "differs: GPUs: ['GPU-1'], now ['GPU-2']" in text(result)
    assert text(result).index("differs") < text(result).index("slower")
    assert dgxcert("compare", a, a).code == 0


def test_a_missing_benchmark_is_shown_with_its_outcome_in_that_run(dgxcert: Command, tmp_path: Path) -> None:
    a = timed_run.write(tmp_path / "a")
    b = timed_run.write(tmp_path / "b", outcome=Outcome.INCONCLUSIVE)
    (b / "benchmark.json").write_text('{"benchmarks": []}', encoding="utf-8")
    result = dgxcert("compare", a, b)
    assert result.code == 2
    assert f"{DECODE}: missing: not in this run, where it was inconclusive: a reason" in text(result)


@pytest.mark.parametrize(("outcome", "words"), [(Outcome.INCONCLUSIVE, "a reason"), (Outcome.FAILED, "it failed")])
def test_rounds_of_an_inconclusive_or_failed_benchmark_are_not_compared(
    dgxcert: Command, tmp_path: Path, outcome: Outcome, words: str
) -> None:
    a, b = timed_run.write(tmp_path / "a"), timed_run.write(tmp_path / "b", outcome=outcome)
    result = dgxcert("compare", a, b)
    assert result.code == 2
    assert f"{DECODE}: not comparable: {words}" in text(result)


def test_a_baseline_grows_by_good_runs_and_judges_later_ones(dgxcert: Command, tmp_path: Path) -> None:
    first = timed_run.write(tmp_path / "first")
    nothing = dgxcert("compare", first)
    assert nothing.code == 3
    assert "There is no baseline of this machine with this image" in text(nothing)
    assert "--keep" in text(nothing)
    for number, rate in enumerate((20.0, 20.1, 19.9)):
        run = timed_run.write(tmp_path / f"good-{number}", rate=rate)
        kept = dgxcert("compare", run, "--keep")
        assert kept.code == 0
        assert "kept in results/baselines/NVIDIA-GB10-" in text(kept)
    same = dgxcert("compare", first)
    assert same.code == 0
    assert "(3 runs)" in text(same)
    assert dgxcert("compare", timed_run.write(tmp_path / "slow", rate=19.0)).code == 1
    other = dgxcert("compare", timed_run.write(tmp_path / "other", uuid="GPU-9"))
    assert other.code == 3, "another machine has another baseline"


def test_keeping_is_for_one_run_and_a_folder_must_be_a_run(dgxcert: Command, tmp_path: Path) -> None:
    a = timed_run.write(tmp_path / "a")
    assert dgxcert("compare", a, a, "--keep").code == 3
    missing = dgxcert("compare", tmp_path / "nowhere", a)
    assert missing.code == 3
    assert "cannot be read" in text(missing)


def test_the_command_prints_yaml_on_stdout_and_what_is_excluded_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = timed_run.write(tmp_path / "good")
    bad = timed_run.write(tmp_path / "bad", info={"compiled": 1})
    monkeypatch.setattr("sys.argv", ["dgxcert", "calibrate", str(good), str(bad)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    output = capsys.readouterr()
    assert not ended.value.code
    assert list(yaml.safe_load(output.out)["limits"]) == [LIMIT]
    assert "excluded: bad" in output.err


def test_no_speed_at_all_is_no_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = timed_run.write(tmp_path / "bad", info={"compiled": 1})
    monkeypatch.setattr("sys.argv", ["dgxcert", "calibrate", str(bad)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    assert "None of these runs holds a usable speed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--write", "site/dgx-spark.txt"], "is a .yaml file"),
        (["--write", "taken.yaml"], "taken.yaml already exists"),
        (["--write", "site/dgx-spark.yaml"], "not what its record gives"),
        (["--who", "Ada"], "--who is for a site profile"),
    ],
)
def test_a_site_profile_is_not_written_over_another_or_from_unfit_runs(
    dgxcert: Command, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "taken.yaml").write_text("mine", encoding="utf-8")
    run = timed_run.write(tmp_path / "run")
    other = [opened(planned(timed_run.DECODE)), image_ready()]
    (run / journal.NAME).write_text(record(*other), encoding="utf-8")
    refused = dgxcert("calibrate", run, *arguments)
    assert refused.code == 3
    assert words in text(refused)
    assert not (tmp_path / "site").exists()
    assert (tmp_path / "taken.yaml").read_text(encoding="utf-8") == "mine"
