"""Packed attention: each row of a packed batch attends to itself alone, by torch's fused causal kernel, without a mask.

transformers would build a mask over all tokens of all rows: quadratic in their sum, and no flash kernel takes a mask.
"""

from typing import TYPE_CHECKING, Any

from dgxcert.workloads.training import lora_batches
from dgxcert.workloads.training.lora_batches import Batch

if TYPE_CHECKING:
    import torch

NAME = "dgxcert-packed"
"""Its name in transformers, which builds no mask for an attention that has no mask function of its own."""
LENGTHS = "row_lengths"
"""Keyword by which a model's call passes the lengths of the rows down to `attend`."""


def options(model: Any, batches: tuple[Batch, ...]) -> dict[str, Any]:
    """Set a PEFT model's attention to this one; returns the keyword arguments for each call on a packed batch."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    model.get_base_model().set_attn_implementation(NAME)
    # With a cache, transformers takes a call for one of generation and ignores that positions restart.
    return {"use_cache": False, LENGTHS: lora_batches.row_lengths(batches)}


def attend(
    module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    scaling: float | None = None,
    **options: Any,
) -> "tuple[torch.Tensor, None]":
    """transformers' attention interface: (1, heads, tokens, head_dim) each; returns (1, tokens, heads, head_dim).

    Raises RuntimeError where transformers passes a mask, which would be ignored.
    """
    import torch

    if attention_mask is not None:
        raise RuntimeError("packed rows need no mask, and this one would be ignored")
    lengths = list(options[LENGTHS])
    rows = zip(*(heads.split(lengths, 2) for heads in (query, key, value)), strict=True)
    outputs = [
        torch.nn.functional.scaled_dot_product_attention(
            *row, is_causal=True, scale=scaling, enable_gqa=module.num_key_value_groups > 1
        )
        for row in rows
    ]
    return torch.cat(outputs, 2).transpose(1, 2).contiguous(), None
