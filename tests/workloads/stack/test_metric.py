"""Metric: the values by hand are scikit-learn's, and each difference is the larger of both scores."""

import pytest

from dgxcert.workloads.stack.metric import ACCURACY, MACRO_F1, PREDICTIONS, REFERENCES, Scores


def test_values_by_hand_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="the scores need scikit-learn: make setup")
    assert pytest.approx(metrics.accuracy_score(REFERENCES, PREDICTIONS)) == ACCURACY
    assert pytest.approx(metrics.f1_score(REFERENCES, PREDICTIONS, average="macro")) == MACRO_F1


@pytest.mark.parametrize(
    ("scores", "from_hand", "from_sklearn"),
    [
        (Scores(ACCURACY, MACRO_F1, ACCURACY, MACRO_F1), 0, 0),
        (Scores(ACCURACY + 0.2, MACRO_F1 - 0.1, ACCURACY, MACRO_F1), 0.2, 0.2),
        (Scores(ACCURACY, MACRO_F1, ACCURACY - 0.1, MACRO_F1 + 0.3), 0, 0.3),
    ],
)
def test_the_larger_difference_counts(scores: Scores, from_hand: float, from_sklearn: float) -> None:
    assert scores.from_hand == pytest.approx(from_hand)
    assert scores.from_sklearn == pytest.approx(from_sklearn)
