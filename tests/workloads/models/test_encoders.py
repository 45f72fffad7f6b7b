"""Encoders: seeded, in eval mode, of the configured sizes, without changing the caller's random numbers."""

import pytest

torch = pytest.importorskip("torch", reason="the models need torch: make setup")
pytest.importorskip("transformers", reason="the models need transformers: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.models import encoders

CPU = Device("cpu", 0, "CPU")
SIZES = {"vocabulary": 64, "layers": 2, "hidden": 16, "heads": 4, "intermediate": 40}


def test_equal_weights_each_time_whatever_was_drawn_before() -> None:
    config = encoders.bert(**SIZES)
    first = encoders.build(CPU, "BertModel", config)
    torch.randn(7)
    second = encoders.build(CPU, "BertModel", config)
    assert not first.training
    for before, after in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(before, after)


def test_random_numbers_of_the_caller_are_not_changed() -> None:
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    encoders.build(CPU, "DistilBertModel", encoders.distilbert(**SIZES))
    assert torch.equal(torch.randn(3), expected)


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_a_model_has_the_sizes_of_its_configuration(name: str) -> None:
    config = getattr(encoders, name)(**SIZES, num_labels=3)
    model = encoders.build(CPU, {"bert": "BertModel", "distilbert": "DistilBertModel"}[name], config)
    output = model(input_ids=torch.zeros(1, 5, dtype=torch.long), output_attentions=True)
    assert output.last_hidden_state.shape == (1, 5, 16)
    assert [attention.shape for attention in output.attentions] == [(1, 4, 5, 5)] * 2
    widths = {weight.shape[0] for name, weight in model.named_parameters() if weight.ndim == 2}
    assert {64, 40} <= widths
    assert config.num_labels == 3
