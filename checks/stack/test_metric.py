"""Metric: evaluate and scikit-learn compute the known scores."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import metric


@requirement(
    "EVALUATE-METRIC",
    title="evaluate and scikit-learn compute the known scores",
    why="A model is judged by its metric: a wrong one makes a bad model look good.",
    remedy=(
        "Print the versions, in `make shell`: python -c 'import evaluate, sklearn; print(evaluate.__version__, "
        "sklearn.__version__)'",
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=8,
    budget_s=180,
)
def test_known_scores_are_computed(evidence):
    evidence.advise(*lockfile.advice())
    scores = metric.run()
    source = f"accuracy {scores.accuracy:.6f}, macro F1 {scores.f1:.6f} by evaluate, a metric of our own, no Hub"
    by_hand = evidence.record("difference from the known scores", scores.from_hand, unit="score", source=source)
    by_sklearn = evidence.record("difference from scikit-learn", scores.from_sklearn, unit="score", source=source)
    assert by_hand.within(metric.ROUNDING)
    assert by_sklearn.within(metric.ROUNDING)
