"""Metric: `evaluate` and scikit-learn agree on scores that were worked out by hand."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import metric


@requirement(
    "EVALUATE-METRIC",
    why="A model is judged by its metric: a wrong one makes a bad model look good.",
    remedy=(
        "Look: python -c 'import evaluate, sklearn; print(evaluate.__version__, sklearn.__version__)'",
        "Install the stack as it is pinned: make clean setup; or use the container: make validate",
    ),
    tier="standard",
    takes_s=6,
    budget_s=180,
)
def test_a_known_score_is_computed(evidence):
    evidence.advise(*lockfile.advice("evaluate", "scikit-learn", "datasets"))
    found = metric.run()
    how = f"accuracy {found.accuracy:.6f}, macro F1 {found.f1:.6f} by evaluate, a metric of our own, no Hub"
    by_hand = evidence.record("difference from the values by hand", found.from_hand, unit="score", source=how)
    by_sklearn = evidence.record("difference from scikit-learn", found.from_sklearn, unit="score", source=how)
    assert by_hand.within(metric.ROUNDING)
    assert by_sklearn.within(metric.ROUNDING)
