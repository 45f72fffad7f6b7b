"""benchmark.json contains the timings of every process, and pytest-benchmark's own tools read it."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dgxcert.record import benchmark_file
from dgxcert.record.benchmark_file import BenchmarkFile


def part(folder: Path, name: str, *benchmarks: str, machine: str = "spark-07") -> None:
    (folder / "inside").mkdir(exist_ok=True)
    content = {"machine_info": {"node": machine}, "benchmarks": [{"name": benchmark} for benchmark in benchmarks]}
    (folder / "inside" / name).write_text(json.dumps(content))


def merged(folder: Path) -> dict[str, Any]:
    benchmark_file.merge(folder)
    content: dict[str, Any] = json.loads((folder / benchmark_file.NAME).read_text())
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
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "kept.jsonl").write_text("")
    benchmark_file.merge(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]


@pytest.mark.parametrize(
    "config", [SimpleNamespace(), SimpleNamespace(_benchmarksession=SimpleNamespace(benchmarks=[]))]
)
def test_a_process_that_timed_nothing_leaves_no_part(tmp_path: Path, config: SimpleNamespace) -> None:
    BenchmarkFile(tmp_path / "benchmark-001.json").keep(config)
    assert list(tmp_path.iterdir()) == []


def session(*names: str) -> Any:
    """A pytest configuration with benchmarks, and the hooks that pytest-benchmark answers."""
    benchmarks = [SimpleNamespace(name=name) for name in names]
    return SimpleNamespace(
        _benchmarksession=SimpleNamespace(benchmarks=benchmarks, get_machine_info=lambda: {"node": "spark-07"}),
        hook=SimpleNamespace(
            pytest_benchmark_generate_commit_info=lambda config: {"id": "abc"},
            pytest_benchmark_generate_json=lambda benchmarks, machine_info, commit_info, **_: {
                "machine_info": machine_info,
                "commit_info": commit_info,
                "version": "5.2",
                "benchmarks": [{"name": each.name, "stats": {"data": [0.1] * 100}} for each in benchmarks],
            },
        ),
    )


def test_each_benchmark_is_written_once_and_joined_in_their_own_format(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    path = tmp_path / "inside" / "benchmark-001.json"
    config, kept = session(), BenchmarkFile(path)
    sizes = []
    for number in range(50):
        config._benchmarksession.benchmarks.append(SimpleNamespace(name=f"B{number:02}"))
        kept.keep(config)
        kept.keep(config)
        sizes.append(path.stat().st_size)
    steps = {after - before for before, after in itertools.pairwise(sizes)}
    assert len(steps) == 1, "what was written before is not written again"
    whole = merged(tmp_path)
    assert whole["machine_info"] == {"node": "spark-07"}
    assert [each["name"] for each in whole["benchmarks"]] == [f"B{number:02}" for number in range(50)]


def test_a_line_that_a_crash_cut_short_costs_only_its_own_benchmark(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    path = tmp_path / "inside" / "benchmark-001.json"
    BenchmarkFile(path).keep(session("prefill", "decode"))
    path.write_bytes(path.read_bytes()[:-20])
    assert benchmark_file.merge(tmp_path) == ()
    assert [each["name"] for each in merged(tmp_path)["benchmarks"]] == ["prefill"]


def test_a_damaged_file_is_named_and_the_others_are_joined(tmp_path: Path) -> None:
    part(tmp_path, "benchmark-001.json", "decode")
    logs = tmp_path / "inside"
    os.mkfifo(logs / "benchmark-002.json")
    (logs / "benchmark-003.json").symlink_to("/etc/passwd")
    for number, text in enumerate(("{", "[]", '{"benchmarks": 3}', '{"a": 1e400}', "[" * 100_000, "x\n" * 20_000)):
        (logs / f"benchmark-01{number}.json").write_text(text)
    damaged = benchmark_file.merge(tmp_path)
    assert [each.split()[0] for each in damaged] == [
        f"inside/benchmark-{number}.json" for number in ("002", "003", "010", "011", "012", "013", "014", "015")
    ]
    assert not any("\n" in each for each in damaged)
    assert "it is a FIFO" in damaged[0]
    assert json.loads((tmp_path / benchmark_file.NAME).read_text())["benchmarks"] == [{"name": "decode"}]


def test_a_folder_that_leads_elsewhere_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    part(tmp_path / "there", "benchmark-001.json", "decode")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "inside").symlink_to(tmp_path / "there" / "inside")
    assert "inside is no folder" in benchmark_file.merge(tmp_path / "run")[0]
    assert not (tmp_path / "run" / benchmark_file.NAME).exists()


def test_pytest_benchmark_compares_a_merged_file(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "test_timed.py").write_text("def test_timed(benchmark): benchmark.pedantic(int, rounds=3)")
    timed = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-json=inside/benchmark-001.json"]
    subprocess.run([sys.executable, *timed, "test_timed.py"], cwd=tmp_path, check=True, capture_output=True)
    shutil.copy(tmp_path / "inside" / "benchmark-001.json", tmp_path / "inside" / "benchmark-002.json")
    benchmark_file.merge(tmp_path)
    compared = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", "benchmark.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert compared.returncode == 0, compared.stderr
    assert compared.stdout.count("test_timed") == 2


def test_the_joined_file_has_no_secret(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    document = {"machine_info": {"env": "HF_TOKEN=x7Qm2kLp"}, "benchmarks": [{"name": "a"}]}
    (tmp_path / "inside" / "benchmark-001.json").write_text(json.dumps(document) + "\n", encoding="utf-8")
    benchmark_file.merge(tmp_path)
    joined = json.loads((tmp_path / benchmark_file.NAME).read_text(encoding="utf-8"))
    assert joined == {"machine_info": {"env": "HF_TOKEN=[secret]"}, "benchmarks": [{"name": "a"}]}
