"""Course classification: logits, probabilities and labels of a classifier follow from its hidden states."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads import numerics
from dgxcert.workloads.course import classification


@requirement(
    "COURSE-CLASSIFICATION",
    title="A classifier's logits, probabilities and labels are right",
    why="A text classifier is a head on a transformer's hidden states: where one step is wrong, every fine-tuned "
    "classifier and every `pipeline` returns wrong labels.",
    remedy=(
        "Run `print(outputs.logits.softmax(-1).sum(-1))` with a model of your own: it must print ones.",
        "Run `make validate ONLY=KERNEL-CORRECT,MATMUL-CORRECT`: a wrong matmul or softmax shows there too.",
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=8,
    budget_s=240,
)
def test_hidden_states_become_logits_probabilities_and_labels(device, evidence):
    result = classification.run(device)
    source = f"DistilBertForSequenceClassification of {result.texts} texts on {device.name}"
    by_hand = f"{source}, compared with its head computed in fp64"
    logits = evidence.record("error of the logits", result.logits_error, unit="relative", source=by_hand)
    total = evidence.record("error of the sum of probabilities", result.sum_error, source=f"{source}; worst text")
    labels = evidence.record("labels that are not the largest logit's", result.mislabelled, source="pipeline()")
    assert logits.within(numerics.matmul_tolerance("fp32"))
    assert total.within(classification.SUM)
    assert labels == 0
