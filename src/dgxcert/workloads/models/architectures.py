"""Architectures: the shapes of the models whose speed is measured, by name. Speed does not depend on weight values."""

from dataclasses import dataclass
from typing import Any

from dgxcert import near_miss
from dgxcert.outcome import Inconclusive

BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "nf4": 4.5 / 8, "int4": 4.25 / 8}
"""Bytes per weight; NF4 has one fp32 scale per block of 64 (4.5 bits), int4 a bf16 scale and zero per 128 (4.25)."""


@dataclass(frozen=True)
class Shape:
    """The shape of a Llama: the sizes in its config.json.

    >>> find("llama-3.1-8b").parameters
    8030261248
    >>> 2 * find("llama-3.1-8b").cache_values_per_token  # bytes of KV cache per token in bf16
    131072
    """

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tied: bool

    @property
    def layer_parameters(self) -> int:
        """Weights of all matrices inside the layers."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def head_parameters(self) -> int:
        """Weights of lm_head, which every token reads, also where it is tied to the embedding table."""
        return self.hidden * self.vocabulary

    @property
    def parameters(self) -> int:
        """All weights, norms included."""
        norms = self.hidden * (2 * self.layers + 1)
        return self.layer_parameters + self.head_parameters * (1 if self.tied else 2) + norms

    @property
    def cache_values_per_token(self) -> int:
        """Values of the KV cache per token."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    @property
    def joined_products(self) -> tuple[tuple[int, int], ...]:
        """(outer, inner) of a layer's matrices, those that read the same input as one.

        >>> find("llama-3.1-8b").joined_products
        ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))
        """
        attention = self.head_dim * self.heads
        qkv = self.head_dim * (self.heads + 2 * self.kv_heads)
        return (
            (qkv, self.hidden),
            (self.hidden, attention),
            (2 * self.intermediate, self.hidden),
            (self.hidden, self.intermediate),
        )

    @property
    def config(self) -> dict[str, Any]:
        """Arguments of transformers' LlamaConfig."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.intermediate,
            "tie_word_embeddings": self.tied,
            "max_position_embeddings": 8192,
        }


SHAPES = {
    # Small enough for two CPU cores, with every part that a large one has (grouped queries, an untied head).
    "llama-tiny": Shape(8192, 512, 6, 8, 4, 64, 1536, tied=False),
    # One layer of meta-llama/Llama-2-7b-hf of a quarter of its width, for two CPU cores
    "llama-2-7b-piece": Shape(1024, 1024, 1, 8, 8, 128, 2752, tied=False),
    # config.json of meta-llama/Llama-2-7b-hf: 6.738 B parameters
    "llama-2-7b": Shape(32000, 4096, 32, 32, 32, 128, 11008, tied=False),
    # config.json of meta-llama/Llama-3.2-1B
    "llama-3.2-1b": Shape(128256, 2048, 16, 32, 8, 64, 8192, tied=True),
    # config.json of meta-llama/Llama-3.1-8B
    "llama-3.1-8b": Shape(128256, 4096, 32, 32, 8, 128, 14336, tied=False),
}


def find(name: str) -> Shape:
    """The shape of a model by its name; raises Inconclusive that suggests the nearest name."""
    if name not in SHAPES:
        raise Inconclusive(
            f"the profile names the model {name!r}, which is not known; {near_miss.hint(name, SHAPES)}",
            "Correct the name of the model under `workloads:` in the profile.",
        )
    return SHAPES[name]


def weight_bytes(shape: Shape, precision: str, compute: str) -> float:
    """Bytes of all weights that a forward pass reads: every matrix once, lm_head in the precision of computation.

    >>> llama = find("llama-3.1-8b")
    >>> f"{weight_bytes(llama, 'bf16', 'bf16') / 1e9:.1f} GB, {weight_bytes(llama, 'nf4', 'bf16') / 1e9:.1f} GB"
    '15.0 GB, 5.0 GB'
    """
    return shape.layer_parameters * BYTES[precision] + shape.head_parameters * BYTES[compute]
