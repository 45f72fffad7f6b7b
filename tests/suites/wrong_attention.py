"""Wrong attention: kernels with planted faults, and a few small cases that reveal them."""

from collections.abc import Callable
from typing import Any

import torch

from dgxcert.workloads.correctness import attention
from dgxcert.workloads.correctness.attention import Case

CASES = [
    Case(precision, kv_heads, 64, *lengths, negative)
    for precision in ("fp32", "bf16")
    for kv_heads, lengths in ((8, (65, 65, True)), (1, (1, 97, False)))
    for negative in (False, True)
]
"""Few small cases: MATH and FLASH_ATTENTION compute all of them on a CPU."""

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


def one_wrong_head(query: Any, key: Any, value: Any, causal: bool) -> Any:
    """Head 5 gets the output of head 4."""
    output = _attend("MATH", query, key, value, causal).clone()
    output[:, 5] = output[:, 4]
    return output


def a_little_off(query: Any, key: Any, value: Any, causal: bool) -> Any:
    """Every value is 6 % too large."""
    return _attend("MATH", query, key, value, causal) * (1 + 2**-4)
