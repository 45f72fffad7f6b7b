"""Wrong attention: kernels with planted faults, and a few small cases that reveal them."""

from collections.abc import Callable
from typing import Any

import torch
from suites import wrong_gradients

from dgxcert.workloads.correctness import attention
from dgxcert.workloads.correctness.attention import Case

CASES = [
    Case(precision, 8, kv_heads, 64, *lengths, values)
    for precision in ("fp32", "bf16")
    for kv_heads, lengths in ((2, (65, 65, True)), (1, (1, 97, False)))
    for values in ("normal", "negative")
]
"""Few small cases: MATH and FLASH_ATTENTION compute all of them on a CPU."""

TRAINED = [Case("bf16", 8, 2, 64, 65, 65, True)]

_attend = attention.attend


def swapped(backend: str, change: Callable[[Any, Any, Any, bool], Any]) -> Callable[..., Any]:
    """`attention.attend` with one kernel replaced by `change`, a function of query, key, value and causal."""
    right = attention.attend

    def attend(kernel: str, query: Any, key: Any, value: Any, causal: bool) -> Any:
        return change(query, key, value, causal) if kernel == backend else right(kernel, query, key, value, causal)

    return attend


def key_beyond_the_end(query: Any, key: Any, value: Any, causal: bool) -> Any:
    """The fault of one real kernel: the largest score is taken over keys beyond the end too, which score 0."""
    keys, values = (heads.float().repeat_interleave(query.shape[1] // key.shape[1], 1) for heads in (key, value))
    scores = query.float() @ keys.transpose(-1, -2) / query.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
    weights = (scores - scores.amax(-1, keepdim=True).clamp(min=0)).exp()
    return (weights @ values / weights.sum(-1, keepdim=True).clamp(min=1e-30)).to(query.dtype)


def losing_keys(lost: range, sequence: int, head: int) -> Callable[..., Any]:
    """`attention.attend` whose flash kernel gives some cached keys of one sequence and head no weight."""
    right = attention.attend

    def attend(kernel: str, query: Any, key: Any, value: Any, causal: bool) -> Any:
        output = right(kernel, query, key, value, causal)
        if kernel != "FLASH_ATTENTION" or query.shape[2] > 1:
            return output
        kept = torch.ones(key.shape[2], dtype=torch.bool)
        kept[lost.start : lost.stop] = False
        own = head * key.shape[1] // query.shape[1]
        heads = (key[sequence, own][kept], value[sequence, own][kept])
        output = output.clone()
        output[sequence, head] = right(
            "MATH", query[sequence, head][None, None], *(h[None, None] for h in heads), False
        )
        return output

    return attend


def one_key_too_many(query: Any, key: Any, value: Any, causal: bool) -> Any:
    """The last 16 rows see the key after their own."""
    keys, values = (heads.repeat_interleave(query.shape[1] // key.shape[1], 1) for heads in (key, value))
    rows = torch.arange(query.shape[2])
    limit = rows + (rows >= len(rows) - 16).long()
    return torch.nn.functional.scaled_dot_product_attention(query, keys, values, attn_mask=rows <= limit[:, None])


def key_heads_exchanged(query: Any, key: Any, value: Any, causal: bool) -> Any:
    """Each group of queries attends to the keys of the next one."""
    return _attend("MATH", query, key.roll(1, 1), value.roll(1, 1), causal)


WRONG_PROMPTS = {"one key too many": one_key_too_many, "key heads exchanged": key_heads_exchanged}


def one_wrong_head(query: Any, key: Any, value: Any, causal: bool) -> Any:
    """Head 5 gets the output of head 4."""
    output = _attend("MATH", query, key, value, causal).clone()
    output[:, 5] = output[:, 4]
    return output


def a_little_off(query: Any, key: Any, value: Any, causal: bool) -> Any:
    """Every value is 6 % too large."""
    return _attend("MATH", query, key, value, causal) * (1 + 2**-4)


def one_head_exchanged(gradient: Any) -> Any:
    """The first head gets the gradient of the second."""
    gradient[:, 0] = gradient[:, 1]
    return gradient


FAULTS = {**wrong_gradients.FAULTS, "one_head_exchanged": one_head_exchanged}
"""Wrong gradients (batch, heads, tokens, head_dim) by name."""


def attention_with(
    change: Callable[[Any], Any], of: str, when: Callable[..., bool] = lambda *_: True
) -> Callable[..., Any]:
    """torch's `scaled_dot_product_attention` with wrong gradients of some of "QKV", where `when` holds.

    `when` takes the backend, query, key and whether attention is causal.
    """
    right = torch.nn.functional.scaled_dot_product_attention

    def attention(query: Any, key: Any, value: Any, *, is_causal: bool, enable_gqa: bool) -> Any:
        backend = torch.nn.attention._cur_sdpa_kernel_backends()[0].name
        inputs = {"Q": query, "K": key, "V": value}
        if when(backend, query, key, is_causal):
            inputs |= {name: wrong_gradients.changed(inputs[name], change) for name in of}
        return right(*inputs.values(), is_causal=is_causal, enable_gqa=enable_gqa)

    return attention
