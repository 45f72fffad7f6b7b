"""Runs are compared with others and with their machine's baseline, which pytest-benchmark can read as well."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from suites import timed_run
from suites.timed_run import DECODE

from dgxcert.history import baseline
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record import run as runs


def test_pytest_benchmark_reads_the_baseline(tmp_path: Path) -> None:
    """With a file of pytest-benchmark itself: those of other tests hold only what dgxcert reads."""
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
def test_an_unfit_run_is_not_kept(tmp_path: Path, about: dict[str, object], words: str) -> None:
    folder = timed_run.write(tmp_path / "bad", **about)  # type: ignore[arg-type]
    with pytest.raises(CannotStart, match=words):
        baseline.keep(runs.load(folder), folder, tmp_path / "baselines")
    assert not (tmp_path / "baselines").exists()


def test_runs_with_other_workload_sizes_are_not_compared(tmp_path: Path) -> None:
    folder = timed_run.write(tmp_path / "run")
    run = runs.load(folder)
    baseline.keep(run, folder, tmp_path / "baselines")
    sizes = run.profile.workloads.model_copy(
        update={"bandwidth": run.profile.workloads.bandwidth.model_copy(update={"size_mib": 7})}
    )
    other = run.model_copy(update={"profile": run.profile.model_copy(update={"workloads": sizes})})
    assert len(baseline.load(run, tmp_path / "baselines")[0]) == 1
    with pytest.raises(CannotStart, match="no baseline"):
        baseline.load(other, tmp_path / "baselines")


def test_a_broken_file_in_the_baseline_is_named(tmp_path: Path) -> None:
    folder = timed_run.write(tmp_path / "run")
    run = runs.load(folder)
    where = baseline.keep(run, folder, tmp_path / "baselines")
    (where / "0002_x.json").write_text("{", encoding="utf-8")
    (where / "0003_x.json").symlink_to("/dev/zero")
    os.mkfifo(where / "0004_x.json")
    (where / "0005_x.json").write_text('{"benchmarks": [], "dgxcert": 3}', encoding="utf-8")
    kept, skipped = baseline.load(run, tmp_path / "baselines")
    assert len(kept) == 1
    assert [Path(line.split(": ")[0]).name for line in skipped] == ["0002_x.json", "0003_x.json", "0004_x.json"]
    assert "it is a FIFO" in skipped[2]


def test_a_run_with_a_hostile_name_is_kept_in_its_baseline(tmp_path: Path) -> None:
    folder = timed_run.write(tmp_path / "run")
    run = runs.load(folder).model_copy(update={"name": "../../" + "x" * 400})
    where = baseline.keep(run, folder, tmp_path / "baselines")
    assert baseline.keep(run, folder, tmp_path / "baselines") == where
    assert [path.name[:6] for path in sorted(where.iterdir())] == ["0001_x", "0002_x"]


def test_a_baseline_that_a_link_leads_elsewhere_is_not_written(tmp_path: Path) -> None:
    folder = timed_run.write(tmp_path / "run")
    run = runs.load(folder)
    (tmp_path / "there").mkdir()
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / Path(baseline.place(run)).parent).symlink_to(tmp_path / "there")
    with pytest.raises(CannotStart, match="is a link to another folder"):
        baseline.keep(run, folder, tmp_path / "baselines")
