"""Runs are compared with others and with their machine's baseline, which pytest-benchmark can read as well."""

import subprocess
import sys
from pathlib import Path

import pytest
from suites import timed_run
from suites.timed_run import DECODE

from dgxcert import cli
from dgxcert.history import baseline
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import run as runs


class Said:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, " ".join(text.split())


@pytest.fixture
def dgxcert(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> object:
    """Runs a command in an empty folder, so that `results/baselines` is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: object) -> Said:
        monkeypatch.setattr("sys.argv", ["dgxcert", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out + said.err)

    return command


def test_two_runs_are_compared_and_what_else_differs_is_said_first(dgxcert: object, tmp_path: Path) -> None:
    a = timed_run.write(tmp_path / "a")
    b = timed_run.write(tmp_path / "b", rate=15.0, uuid="GPU-2")
    said = dgxcert("compare", a, b)  # type: ignore[operator]
    assert said.code == 1
    assert f"{DECODE} slower +33.3% ±2.2%" in said.text
    assert "differs: GPUs: ['GPU-1'], now ['GPU-2']" in said.text
    assert said.text.index("differs") < said.text.index("slower")
    assert dgxcert("compare", a, a).code == 0  # type: ignore[operator]


def test_a_benchmark_that_one_run_lacks_is_shown_with_that_runs_words(dgxcert: object, tmp_path: Path) -> None:
    a = timed_run.write(tmp_path / "a")
    b = timed_run.write(tmp_path / "b", outcome=Outcome.INCONCLUSIVE)
    (b / "benchmark.json").write_text('{"benchmarks": []}', encoding="utf-8")
    said = dgxcert("compare", a, b)  # type: ignore[operator]
    assert said.code == 2
    assert f"{DECODE}: missing: not in this run, where it was inconclusive: a reason" in said.text


@pytest.mark.parametrize(("outcome", "words"), [(Outcome.INCONCLUSIVE, "a reason"), (Outcome.FAILED, "it failed")])
def test_rounds_of_a_benchmark_that_was_not_believed_are_not_compared(
    dgxcert: object, tmp_path: Path, outcome: Outcome, words: str
) -> None:
    a, b = timed_run.write(tmp_path / "a"), timed_run.write(tmp_path / "b", outcome=outcome)
    said = dgxcert("compare", a, b)  # type: ignore[operator]
    assert said.code == 2
    assert f"{DECODE}: not comparable: {words}" in said.text


def test_a_baseline_grows_by_good_runs_and_judges_later_ones(dgxcert: object, tmp_path: Path) -> None:
    first = timed_run.write(tmp_path / "first")
    nothing = dgxcert("compare", first)  # type: ignore[operator]
    assert nothing.code == 3
    assert "There is no baseline of this machine with this image" in nothing.text
    assert "--keep" in nothing.text
    for number, rate in enumerate((20.0, 20.1, 19.9)):
        run = timed_run.write(tmp_path / f"good-{number}", rate=rate)
        kept = dgxcert("compare", run, "--keep")  # type: ignore[operator]
        assert kept.code == 0
        assert "kept in results/baselines/NVIDIA-GB10-" in kept.text
    same = dgxcert("compare", first)  # type: ignore[operator]
    assert same.code == 0
    assert "(3 runs)" in same.text
    assert dgxcert("compare", timed_run.write(tmp_path / "slow", rate=19.0)).code == 1  # type: ignore[operator]
    other = dgxcert("compare", timed_run.write(tmp_path / "other", uuid="GPU-9"))  # type: ignore[operator]
    assert other.code == 3, "another machine has another baseline"


def test_pytest_benchmark_reads_the_baseline(tmp_path: Path) -> None:
    """As it would be written by a real run: the file of this one has only what dgxcert reads."""
    suite = tmp_path / "test_it.py"
    suite.write_text("def test_it(benchmark):\n    benchmark(sum, [1])\n", encoding="utf-8")
    folder = timed_run.write(tmp_path / "run")
    run_it = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(suite)]
    subprocess.run([*run_it, f"--benchmark-json={folder / 'real.json'}"], check=True, capture_output=True, cwd=tmp_path)
    real = (folder / "real.json").read_text(encoding="utf-8")
    info = f'"extra_info": {{"requirement": "{DECODE}", "amount": 64.0}}'
    (folder / "benchmark.json").write_text(real.replace('"extra_info": {}', info), encoding="utf-8")
    where = baseline.keep(runs.load(folder), folder, tmp_path / "baselines")
    comparing = [sys.executable, "-m", "pytest_benchmark", "--storage", str(where), "compare"]
    done = subprocess.run(comparing, capture_output=True, text=True, check=True)
    assert "test_it" in done.stdout


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"rate": 5.0}, "its verdict is REJECTED"),
        ({"outcome": Outcome.INCONCLUSIVE}, "its verdict is INCONCLUSIVE"),
        ({"info": {"disturbance": "GPU 0 was shared"}}, "GPU 0 was shared"),
    ],
)
def test_a_run_that_is_no_example_is_not_kept(tmp_path: Path, about: dict[str, object], words: str) -> None:
    folder = timed_run.write(tmp_path / "bad", **about)  # type: ignore[arg-type]
    with pytest.raises(CannotStart, match=words):
        baseline.keep(runs.load(folder), folder, tmp_path / "baselines")
    assert not (tmp_path / "baselines").exists()


def test_other_sizes_of_work_have_no_part_in_a_baseline(tmp_path: Path) -> None:
    folder = timed_run.write(tmp_path / "run")
    run = runs.load(folder)
    baseline.keep(run, folder, tmp_path / "baselines")
    sizes = run.profile.workloads.model_copy(
        update={"bandwidth": run.profile.workloads.bandwidth.model_copy(update={"size_mib": 7})}
    )
    other = run.model_copy(update={"profile": run.profile.model_copy(update={"workloads": sizes})})
    assert len(baseline.load(run, tmp_path / "baselines")) == 1
    with pytest.raises(CannotStart, match="no baseline"):
        baseline.load(other, tmp_path / "baselines")


def test_a_broken_file_in_the_baseline_is_named(tmp_path: Path) -> None:
    folder = timed_run.write(tmp_path / "run")
    run = runs.load(folder)
    where = baseline.keep(run, folder, tmp_path / "baselines")
    (where / "0002_x.json").write_text("{", encoding="utf-8")
    with pytest.raises(CannotStart, match=r"0002_x\.json cannot be read"):
        baseline.load(run, tmp_path / "baselines")


def test_keeping_is_for_one_run_and_a_folder_must_be_a_run(dgxcert: object, tmp_path: Path) -> None:
    a = timed_run.write(tmp_path / "a")
    assert dgxcert("compare", a, a, "--keep").code == 3  # type: ignore[operator]
    missing = dgxcert("compare", tmp_path / "nowhere", a)  # type: ignore[operator]
    assert missing.code == 3
    assert "cannot be read" in missing.text
