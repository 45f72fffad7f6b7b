"""int4 weights and their kernel agree with the definition of a level."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.outcome import Inconclusive
from dgxcert.workloads import numerics
from dgxcert.workloads.models import int4


def test_int4_weights_are_dequantised_by_their_levels() -> None:
    weight = torch.randn(16, 256, generator=torch.Generator().manual_seed(1)) * 0.02
    quantised = int4.quantise(weight)
    assert numerics.relative_error(quantised.dequantised, weight) == pytest.approx(0.1, abs=0.01)
    rows = torch.randn(4, 256, generator=torch.Generator().manual_seed(2)).bfloat16()
    exact = rows.double() @ quantised.dequantised.double().T
    assert numerics.relative_error(int4.linear(rows, quantised.packed), exact) < 2.5e-3
    with pytest.raises(Inconclusive, match="no matrix of 16 x 200"):
        int4.quantise(weight[:, :200])
