"""Encoders: BERT and DistilBERT built from their configuration with seeded random weights, without a download."""

from typing import Any

from dgxcert.machine.device import Device

SEED = 2025
SPREAD = 0.1
"""Standard deviation of the weights of small models: at the usual 0.02 their attention would be almost uniform."""


def build(device: Device, name: str, config: Any) -> Any:
    """A transformers model by the name of its class, in eval mode: the same weights on every kind of device."""
    import torch
    import transformers

    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU, whose generator is restored
        torch.manual_seed(SEED)
        return getattr(transformers, name)(config).eval().to(device.name)


def distilbert(vocabulary: int, layers: int, hidden: int, heads: int, intermediate: int, **more: Any) -> Any:
    """A `DistilBertConfig`, by the names that other models use for its sizes."""
    from transformers import DistilBertConfig

    sizes = {"n_layers": layers, "dim": hidden, "n_heads": heads, "hidden_dim": intermediate}
    return DistilBertConfig(vocab_size=vocabulary, **sizes, **more)


def bert(vocabulary: int, layers: int, hidden: int, heads: int, intermediate: int, **more: Any) -> Any:
    """A `BertConfig` of these sizes."""
    from transformers import BertConfig

    sizes = {"num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads}
    return BertConfig(vocab_size=vocabulary, intermediate_size=intermediate, **sizes, **more)
