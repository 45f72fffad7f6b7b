"""A check run with planted measurements: it passes, or it fails by exactly the quantity that was planted wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from dgxcert.judgement.evidence import Recorder


def judge(check: Callable[..., None], *arguments: Any, fault: str | None) -> Recorder:
    """Run a check with these arguments before its evidence; returns the evidence.

    `fault` names the only quantity that may fail. With None the check must compare something and pass.
    """
    evidence = Recorder()
    if fault is None:
        check(*arguments, evidence)
        assert evidence.compared
        assert not evidence.violated
        return evidence
    with pytest.raises(AssertionError):
        check(*arguments, evidence)
    assert [quantity.name for quantity, _ in evidence.violated] == [fault]
    return evidence
