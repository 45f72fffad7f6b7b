"""Faults in torch that more than one test plants."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any


def no_grad_without_effect(original: Callable[[], Any]) -> Callable[[], Any]:
    """A `torch.no_grad` without effect for callers in dgxcert; torch itself needs the original."""

    def no_grad() -> Any:
        caller = sys._getframe(1).f_globals["__name__"]
        return nullcontext() if caller.startswith("dgxcert") else original()

    return no_grad
