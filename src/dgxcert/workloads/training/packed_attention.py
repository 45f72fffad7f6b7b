"""Packed attention: rows that lie end to end attend each to itself, by torch's fused causal kernel, without a mask.

transformers would build a mask over all tokens of all rows: quadratic in their sum, and no flash kernel takes a mask.
"""

from typing import TYPE_CHECKING, Any

from dgxcert.workloads.training import lora_batches
from dgxcert.workloads.training.lora_batches import Batch

if TYPE_CHECKING:
    import torch

NAME = "dgxcert-packed"
"""How transformers knows it; a name that has no mask function of its own gets no mask."""
LENGTHS = "row_lengths"


def options(model: Any, batches: tuple[Batch, ...]) -> dict[str, Any]:
    """Give a model this attention; returns what each call of it on one of these batches, packed, has to be given."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    model.get_base_model().set_attn_implementation(NAME)
    return {"use_cache": False, LENGTHS: lora_batches.row_lengths(batches)}


def attend(
    module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    scaling: float | None = None,
    **about: Any,
) -> "tuple[torch.Tensor, None]":
    """Attention as transformers calls it: (1, heads, tokens, head_dim) each; returns (1, tokens, heads, head_dim)."""
    import torch

    if attention_mask is not None:
        raise RuntimeError("packed rows need no mask, and this one would be ignored")
    lengths = list(about[LENGTHS])
    rows = zip(*(each.split(lengths, 2) for each in (query, key, value)), strict=True)
    attended = [
        torch.nn.functional.scaled_dot_product_attention(
            *row, is_causal=True, scale=scaling, enable_gqa=module.num_key_value_groups > 1
        )
        for row in rows
    ]
    return torch.cat(attended, 2).transpose(1, 2).contiguous(), None
