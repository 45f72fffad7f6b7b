"""benchmark.json contains the timings of every process, and pytest-benchmark's own tools read it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dgxcert.record import benchmark_file
from dgxcert.record.benchmark_file import BenchmarkFile


def part(folder: Path, name: str, *benchmarks: str, machine: str = "spark-07") -> None:
    (folder / "logs").mkdir(exist_ok=True)
    content = {"machine_info": {"node": machine}, "benchmarks": [{"name": benchmark} for benchmark in benchmarks]}
    (folder / "logs" / name).write_text(json.dumps(content))


def merged(folder: Path) -> dict[str, object]:
    benchmark_file.merge(folder)
    content: dict[str, object] = json.loads((folder / benchmark_file.NAME).read_text())
    return content


def test_the_parts_of_all_processes_are_joined_in_their_order(tmp_path: Path) -> None:
    part(tmp_path, "benchmark-002.json", "lora")
    part(tmp_path, "benchmark-010.json", "copy")
    part(tmp_path, "benchmark-001.json", "prefill", "decode")
    assert merged(tmp_path)["benchmarks"] == [{"name": name} for name in ("prefill", "decode", "lora", "copy")]


def test_other_content_of_the_file_is_kept(tmp_path: Path) -> None:
    part(tmp_path, "benchmark-001.json", "decode")
    assert merged(tmp_path)["machine_info"] == {"node": "spark-07"}


def test_merging_again_changes_nothing(tmp_path: Path) -> None:
    part(tmp_path, "benchmark-001.json", "decode")
    assert merged(tmp_path) == merged(tmp_path)


def test_without_any_benchmark_there_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "native-1.log").write_text("")
    benchmark_file.merge(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


@pytest.mark.parametrize(
    "config", [SimpleNamespace(), SimpleNamespace(_benchmarksession=SimpleNamespace(benchmarks=[]))]
)
def test_a_process_that_timed_nothing_leaves_no_part(tmp_path: Path, config: SimpleNamespace) -> None:
    BenchmarkFile(tmp_path / "benchmark-001.json").keep(config)
    assert list(tmp_path.iterdir()) == []


def test_pytest_benchmark_compares_a_merged_file(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "test_timed.py").write_text("def test_timed(benchmark): benchmark.pedantic(int, rounds=3)")
    timed = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-json=logs/benchmark-001.json"]
    subprocess.run([sys.executable, *timed, "test_timed.py"], cwd=tmp_path, check=True, capture_output=True)
    shutil.copy(tmp_path / "logs" / "benchmark-001.json", tmp_path / "logs" / "benchmark-002.json")
    benchmark_file.merge(tmp_path)
    compared = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", "benchmark.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert compared.returncode == 0, compared.stderr
    assert compared.stdout.count("test_timed") == 2
