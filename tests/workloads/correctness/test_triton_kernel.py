"""Triton kernel: exact in Triton's interpreter, and every wrong value is counted, those behind the end included."""

from pathlib import Path

import pytest
from suites import interpreter

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.workloads.correctness import triton_kernel

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of torch and triton are not tested here


@pytest.mark.parametrize("places", [(), (0,), (0, triton_kernel.LENGTH - 1), (triton_kernel.LENGTH,), (-1,)])
def test_wrong_values_are_counted_behind_the_end_too(places: tuple[int, ...]) -> None:
    left, right = torch.arange(triton_kernel.LENGTH, dtype=torch.int32), torch.ones(triton_kernel.LENGTH).int()
    out = torch.zeros(triton_kernel.LENGTH + triton_kernel.BLOCK, dtype=torch.int32)
    out[: triton_kernel.LENGTH] = left * triton_kernel.FACTOR + right
    for place in places:
        out[place] += 1
    assert triton_kernel.wrong_in(out, left, right) == len(places)


def test_the_kernel_is_exact_in_tritons_interpreter() -> None:
    assert interpreter.answers(Path(__file__).with_name("triton_kernel_interpreted.py")) == 0
