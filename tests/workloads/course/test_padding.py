"""Padding: the expected batch by hand, and a model proves something only if padding without a mask changes it."""

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.workloads import numerics
from dgxcert.workloads.course.padding import MIN_SENSITIVITY, PaddingResult, Side, pad


@pytest.mark.parametrize(
    ("side", "ids", "mask"),
    [
        ("right", [[7, 8, 9], [5, 3, 3], [6, 4, 3]], [[1, 1, 1], [1, 0, 0], [1, 1, 0]]),
        ("left", [[7, 8, 9], [3, 3, 5], [3, 6, 4]], [[1, 1, 1], [0, 0, 1], [0, 1, 1]]),
    ],
)
def test_rows_are_padded_to_the_longest_on_one_side(side: Side, ids: list[list[int]], mask: list[list[int]]) -> None:
    pytest.importorskip("torch", reason="a batch is a tensor: make setup")
    batch = pad([[7, 8, 9], [5], [6, 4]], side, pad_token_id=3)
    assert [values.tolist() for values in batch] == [ids, mask]


def test_sensitivity_is_judged_in_tolerances() -> None:
    tolerance = numerics.path_tolerance("fp32").max
    assert tolerance is not None
    PaddingResult(0, 222, 1e-6, 1.01 * MIN_SENSITIVITY * tolerance).require_sensitivity()
    with pytest.raises(Inconclusive, match="insensitive to padding"):
        PaddingResult(0, 222, 1e-6, 0.99 * MIN_SENSITIVITY * tolerance).require_sensitivity()
