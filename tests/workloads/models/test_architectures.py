"""Architectures have the published numbers of weights, and transformers builds the same number from their config."""

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.workloads.models import architectures


def test_llama_8b_has_the_published_number_of_parameters() -> None:
    assert architectures.find("llama-3.1-8b").parameters == 8_030_261_248
    assert architectures.find("llama-3.2-1b").parameters == 1_235_814_400


@pytest.mark.parametrize("name", architectures.SHAPES)
def test_transformers_builds_a_model_of_the_same_number_of_weights(name: str) -> None:
    torch = pytest.importorskip("torch", reason="building needs torch: make setup")
    transformers = pytest.importorskip("transformers", reason="building needs transformers: make setup")
    shape = architectures.find(name)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**shape.config))
    assert model.num_parameters() == shape.parameters
    matrices = [weight for layer, weight in model.named_parameters() if "layers." in layer and weight.ndim == 2]
    assert sum(weight.numel() for weight in matrices) == shape.layer_parameters


def test_only_layers_are_quantised() -> None:
    shape = architectures.find("llama-tiny")
    saved = architectures.weight_bytes(shape, "bf16", "bf16") - architectures.weight_bytes(shape, "int4", "bf16")
    assert saved == pytest.approx(shape.layer_parameters * (16 - 4.25) / 8)


def test_an_unknown_model_is_inconclusive_and_the_nearest_name_is_suggested() -> None:
    with pytest.raises(Inconclusive, match=r"did you mean 'llama-3\.1-8b'"):
        architectures.find("llama-3.1-8")
