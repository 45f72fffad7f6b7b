"""NF4 reference: bitsandbytes' layer computes the reference result, and another 4-bit type does not."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")
bitsandbytes = pytest.importorskip("bitsandbytes", reason="NF4 needs bitsandbytes: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads.correctness import nf4_reference

pytestmark = pytest.mark.filterwarnings("ignore")  # warnings of bitsandbytes are not tested here

CPU = Device("cpu", 0, "CPU")


def test_layer_on_the_cpu_computes_the_reference_result() -> None:
    layer = nf4_reference.run(CPU)
    assert layer.bits == 4
    assert layer.error < 4e-3


def test_a_layer_in_fp4_is_no_nf4(monkeypatch: pytest.MonkeyPatch) -> None:
    original = bitsandbytes.nn.Linear4bit

    def fp4(*sizes: Any, **options: Any) -> Any:
        return original(*sizes, **{**options, "quant_type": "fp4"})

    monkeypatch.setattr(bitsandbytes.nn, "Linear4bit", fp4)
    assert nf4_reference.run(CPU).error > 0.05


def test_reference_keeps_levels_and_rounds_to_the_nearest() -> None:
    levels = torch.tensor(nf4_reference.LEVELS, dtype=torch.float64)
    row = levels.repeat(nf4_reference.BLOCK // len(levels)) * 3
    torch.testing.assert_close(nf4_reference.reference(row.reshape(1, -1)), row.reshape(1, -1))
    off = row.clone()
    off[9] += 0.03 * 3  # less than half of the distance to either neighbour
    torch.testing.assert_close(nf4_reference.reference(off.reshape(1, -1)), row.reshape(1, -1))
