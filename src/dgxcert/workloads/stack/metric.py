"""Metric: `evaluate` loads a metric and computes what scikit-learn computes and what a person works out by hand.

The metric is a file of our own, since `evaluate` would fetch its own ones from the Hub.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.workloads import fresh_process

ANSWERS = (0, 1, 1, 2, 2, 2, 0, 1)
GIVEN = (0, 1, 2, 2, 2, 0, 0, 2)
"""5 of 8 are right. F1 of class 0 (2 of 3 given, 2 of 2 found) 4/5, 1 (1 of 1, 1 of 3) 1/2, 2 (2 of 4, 2 of 3) 4/7."""
ACCURACY = 5 / 8
MACRO_F1 = (4 / 5 + 1 / 2 + 4 / 7) / 3

SOURCE = '''"""Accuracy and macro F1 by scikit-learn."""
import datasets
import evaluate
from sklearn.metrics import accuracy_score, f1_score


class Scores(evaluate.Metric):
    def _info(self):
        whole = datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")})
        return evaluate.MetricInfo(description="two scores", citation="", inputs_description="", features=whole)

    def _compute(self, predictions, references):
        return {
            "accuracy": float(accuracy_score(references, predictions)),
            "f1": float(f1_score(references, predictions, average="macro")),
        }
'''


ROUNDING = Limit(
    name="difference of scores",
    max=1e-9,
    unit="score",
    source="sums of a few fractions in 53 bits; a wrong count gives 0.1",
)


@dataclass(frozen=True)
class Scores:
    """The same two scores, by `evaluate` and by scikit-learn itself."""

    accuracy: float
    f1: float
    sklearn_accuracy: float
    sklearn_f1: float

    @property
    def from_hand(self) -> float:
        """The larger difference of what `evaluate` computed from the values worked out by hand."""
        return max(abs(self.accuracy - ACCURACY), abs(self.f1 - MACRO_F1))

    @property
    def from_sklearn(self) -> float:
        """The same from what scikit-learn computed."""
        return max(abs(self.accuracy - self.sklearn_accuracy), abs(self.f1 - self.sklearn_f1))


def run() -> Scores:
    """Compute in a fresh process, without the Hub; raises what `fresh_process.run` raises."""
    return Scores(**fresh_process.run("stack.metric"))


def work(folder: Path) -> dict[str, Any]:
    """Load the metric from a file and compute it."""
    import evaluate
    from sklearn.metrics import accuracy_score, f1_score

    script = folder / "scores" / "scores.py"
    script.parent.mkdir()
    script.write_text(SOURCE, encoding="utf-8")
    metric = evaluate.load(str(script), cache_dir=str(folder / "metrics"))
    found = metric.compute(predictions=list(GIVEN), references=list(ANSWERS))
    return {
        "accuracy": found["accuracy"],
        "f1": found["f1"],
        "sklearn_accuracy": float(accuracy_score(ANSWERS, GIVEN)),
        "sklearn_f1": float(f1_score(ANSWERS, GIVEN, average="macro")),
    }


if __name__ == "__main__":
    json.dump(work(Path(sys.argv[1])), sys.stdout)
