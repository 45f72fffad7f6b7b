"""Metric: accuracy and macro F1 by `evaluate`, by scikit-learn, and by hand.

The metric is a script of dgxcert's own, since `evaluate` would download its own from the Hub.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgxcert.judgement.limit import Limit
from dgxcert.workloads import fresh_process

REFERENCES = (0, 1, 1, 2, 2, 2, 0, 1)
PREDICTIONS = (0, 1, 2, 2, 2, 0, 0, 2)
"""5 of 8 are right. F1 = 2 P R / (P + R): class 0 has precision 2/3 and recall 2/2, so 4/5; class 1 has 1/1 and 1/3, so
1/2; class 2 has 2/4 and 2/3, so 4/7."""
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
    """Both scores by `evaluate`, and by scikit-learn itself."""

    accuracy: float
    f1: float
    sklearn_accuracy: float
    sklearn_f1: float

    @property
    def from_hand(self) -> float:
        """The larger difference between `evaluate` and the values by hand.

        >>> Scores(accuracy=0.625, f1=MACRO_F1, sklearn_accuracy=0.625, sklearn_f1=MACRO_F1).from_hand
        0.0
        """
        return max(abs(self.accuracy - ACCURACY), abs(self.f1 - MACRO_F1))

    @property
    def from_sklearn(self) -> float:
        """The larger difference between `evaluate` and scikit-learn."""
        return max(abs(self.accuracy - self.sklearn_accuracy), abs(self.f1 - self.sklearn_f1))


def run() -> Scores:
    """Compute both scores in a fresh process, without the Hub; raises what `fresh_process.run` raises."""
    return Scores(**fresh_process.run("stack.metric"))


def work(folder: Path) -> dict[str, Any]:
    """Load the metric from a script and compute it; returns the fields of `Scores`."""
    import evaluate
    from sklearn.metrics import accuracy_score, f1_score

    script = folder / "scores" / "scores.py"
    script.parent.mkdir()
    script.write_text(SOURCE, encoding="utf-8")
    metric = evaluate.load(str(script), cache_dir=str(folder / "metrics"))
    scores = metric.compute(predictions=list(PREDICTIONS), references=list(REFERENCES))
    return {
        "accuracy": scores["accuracy"],
        "f1": scores["f1"],
        "sklearn_accuracy": float(accuracy_score(REFERENCES, PREDICTIONS)),
        "sklearn_f1": float(f1_score(REFERENCES, PREDICTIONS, average="macro")),
    }


if __name__ == "__main__":
    json.dump(work(Path(sys.argv[1])), sys.stdout)
