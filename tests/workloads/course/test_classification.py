"""Classification: the head by hand is the model's, and its result is compared in full."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")
pytest.importorskip("transformers", reason="the model needs transformers: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.course import classification
from dgxcert.workloads.models import encoders

pytestmark = pytest.mark.filterwarnings("ignore")  # what transformers warns about is not tested here


def test_the_head_by_hand_uses_the_first_token_and_every_weight() -> None:
    config = encoders.distilbert(64, layers=1, hidden=16, heads=2, intermediate=32, num_labels=3)
    model = encoders.build(Device("cpu", 0, "CPU"), "DistilBertForSequenceClassification", config)
    with torch.no_grad():
        model.pre_classifier.bias.normal_()
        model.classifier.bias.normal_()
        hidden = torch.randn(2, 5, 16)
        logits = classification._logits_by_hand(model, hidden)
        expected = model.classifier(torch.relu(model.pre_classifier(hidden[:, 0])))
    torch.testing.assert_close(logits.float(), expected)


def test_a_wrong_head_is_the_error_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    original = classification._logits_by_hand
    monkeypatch.setattr(classification, "_logits_by_hand", lambda model, hidden: 2 * original(model, hidden))
    result = classification.run(Device("cpu", 0, "CPU"))
    assert result.logits_error == pytest.approx(0.5, rel=1e-4)
    assert (result.texts, result.mislabelled) == (len(classification.TEXTS), 0)
    assert result.sum_error < 1e-6
