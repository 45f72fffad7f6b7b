"""Stopwatch: the fastest round counts, except the first, which warms up."""

from types import SimpleNamespace

import pytest

from dgxcert.workloads import stopwatch


def test_the_first_round_only_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    starts_and_ends = iter((0.0, 1.0, 10.0, 13.0, 20.0, 22.5, 30.0, 34.0))
    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(perf_counter=lambda: next(starts_and_ends)))
    rounds: list[None] = []
    assert stopwatch.fastest_s(lambda: rounds.append(None)) == 2.5
    assert len(rounds) == 4
