"""Data sets: rows, processes and the cache must be as expected."""

import dataclasses
from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.workloads.stack import dataset_cache

CHECK = check_file.load("stack/test_data_sets").test_data_set_is_mapped_by_several_processes_and_cached
HEALTHY = dataset_cache.Maps(dataset_cache.PROCESSES, 0, dataset_cache.ROWS, 0, True)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"processes": 1}, "processes"),
        ({"wrong": 1}, "wrong rows"),
        ({"calls": 399}, "calls of the function"),
        ({"calls_again": 1}, "calls the second time"),
        ({"same_fingerprint": False}, "same fingerprint"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], change: dict[str, object], fault: str | None
) -> None:
    monkeypatch.setattr(dataset_cache, "run", lambda *_: dataclasses.replace(HEALTHY, **change))
    judge(CHECK, fault)
