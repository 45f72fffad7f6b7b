"""Rounds are read from pytest-benchmark's file, with the reason why they are unusable."""

import json
from pathlib import Path
from typing import Any

import pytest

from dgxcert.outcome import CannotStart
from dgxcert.record import timings


def entry(**info: Any) -> dict[str, Any]:
    return {"extra_info": {"requirement": "X", "amount": 2.0} | info, "stats": {"data": [1.0, 3.0]}}


def test_rounds_are_read_from_pytest_benchmarks_file(tmp_path: Path) -> None:
    content = {"benchmarks": [entry(), {"extra_info": {}, "stats": {"data": [1.0]}}]}
    (tmp_path / "benchmark.json").write_text(json.dumps(content), encoding="utf-8")
    benchmarks = timings.read(tmp_path)
    assert list(benchmarks) == ["X"]
    assert benchmarks["X"].per_unit_s == pytest.approx(1.0)
    assert not benchmarks["X"].spoiled


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"disturbance": "GPU 0 was shared"}, "GPU 0 was shared"),
        ({"compiled": 2}, "compiled 2 times"),
        ({"hot": 0.06}, "for heat 6%"),
        ({"hot": 0.05}, ""),
        ({"device": "cpu", "others": 0.11}, "other processes used 11% of the CPU"),
        ({"device": "cpu", "others": 0.1}, ""),
        ({"device": "cuda", "others": 0.9}, ""),
        ({"hot": None, "compiled": 0, "disturbance": None}, ""),
    ],
)
def test_the_reason_why_rounds_are_unusable_is_named(info: dict[str, Any], words: str) -> None:
    spoiled = timings.parse({"benchmarks": [entry(**info)]})["X"].spoiled
    assert words in spoiled
    assert bool(words) == bool(spoiled)


@pytest.mark.parametrize("text", ["{", "[]", '{"benchmarks": [{"extra_info": {"requirement": "X"}}]}', "{}"])
def test_a_missing_file_and_a_broken_one_are_different_problems(tmp_path: Path, text: str) -> None:
    with pytest.raises(CannotStart, match="is missing: this run timed no benchmark"):
        timings.read(tmp_path)
    (tmp_path / "benchmark.json").write_text(text, encoding="utf-8")
    with pytest.raises(CannotStart, match=r"benchmark\.json cannot be read"):
        timings.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stats": {"data": []}}, "stats.data"),
        ({"stats": {"data": [0.0]}}, "stats.data.0"),
        ({"stats": {"data": [1e308]}}, "stats.data.0"),
        ({"stats": {"data": ["a"]}}, "stats.data.0"),
        ({"stats": {"data": [float("inf")]}}, "stats.data.0"),
        ({"stats": None}, "stats"),
        ({"extra_info": []}, "no object with extra_info"),
        ({"extra_info": {"requirement": "X", "amount": 10**200}}, "extra_info.amount"),
        ({"extra_info": {"requirement": [1], "amount": 1}}, "extra_info.requirement"),
        ({"extra_info": {"requirement": "X", "amount": 1, "disturbance": [1]}}, "extra_info.disturbance"),
        ({"extra_info": {"requirement": "X", "amount": 1, "hot": float("nan")}}, "extra_info.hot"),
    ],
)
def test_a_benchmark_of_impossible_numbers_or_types_is_named(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"benchmark 1: .*{reason}") as refused:
        timings.parse({"benchmarks": [entry() | change]})
    assert "\n" not in str(refused.value)
