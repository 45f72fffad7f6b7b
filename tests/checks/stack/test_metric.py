"""Metric: evaluate must agree with scikit-learn and with the known scores."""

import dataclasses
from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.workloads.stack import metric

CHECK = check_file.load("stack/test_metric").test_known_scores_are_computed
HEALTHY = metric.Scores(metric.ACCURACY, metric.MACRO_F1, metric.ACCURACY, metric.MACRO_F1)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"sklearn_f1": 0.5}, "difference from scikit-learn"),
        ({"f1": 0.5, "sklearn_f1": 0.5}, "difference from the known scores"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], change: dict[str, object], fault: str | None
) -> None:
    monkeypatch.setattr(metric, "run", lambda *_: dataclasses.replace(HEALTHY, **change))
    judge(CHECK, fault)
