"""NF4: layers agree with their dequantised weights, and the tolerance has margin for a correct kernel."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.machine.device import Device
from dgxcert.workloads import numerics
from dgxcert.workloads.correctness import nf4_reference
from dgxcert.workloads.models import nf4

CPU = Device("cpu", 0, "CPU")


def one_row_kernel_error(inner: int, outer: int) -> float:
    """Of bitsandbytes' CUDA kernel for one row, emulated: table, scale, weight and product in bf16, summed in fp32.

    As on a GPU, what is quantised is bf16, and so is what it is dequantised to.
    """
    generator = torch.Generator().manual_seed(5)
    weights = torch.randn(outer, inner, generator=generator).bfloat16().float().unflatten(-1, (-1, nf4.BLOCK))
    row = torch.randn(inner, generator=generator).bfloat16()
    scales = weights.abs().amax(-1, keepdim=True)
    table = torch.tensor(nf4_reference.LEVELS)
    codes = torch.bucketize(weights / scales, (table[1:] + table[:-1]) / 2)
    exact = (table[codes] * scales).bfloat16().flatten(1).double() @ row.double()
    rounded = (table.bfloat16()[codes] * scales.bfloat16()).flatten(1)
    return numerics.relative_error((rounded * row).float().sum(-1).bfloat16(), exact)


@pytest.mark.parametrize(("inner", "outer"), [(1536, 576), (4096, 1024)])
def test_a_right_kernel_for_one_row_has_margin_below_the_limit(inner: int, outer: int) -> None:
    error = one_row_kernel_error(inner, outer)
    allowed = numerics.matmul_tolerance("nf4").max
    assert allowed is not None
    assert 3.1e-3 < error < 3.45e-3
    assert 1.3 * error < allowed


@pytest.mark.filterwarnings("ignore")
def test_samples_are_quantised_within_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bitsandbytes", reason="NF4 needs bitsandbytes: make setup")
    monkeypatch.setattr(nf4, "LAYERS", ((512, 192), (1024, 256)))
    layers = nf4.samples(CPU)
    assert nf4.matmul_errors(CPU, layers).keys() == {"1x512x192", "8x512x192", "1x1024x256", "8x1024x256"}
    for error in nf4.quantisation_errors(layers).values():
        assert nf4.QUANTISATION.min <= error <= nf4.QUANTISATION.max
    for (_, weights), error in zip(layers, nf4.worst_blocks(layers).values(), strict=True):
        assert weights.shape[1] % nf4.BLOCK == 0
        assert nf4.QUANTISATION.max < error < nf4.BLOCK_QUANTISATION.max


@pytest.mark.filterwarnings("ignore")
def test_an_nf4_layer_holds_the_nearest_levels_by_definition() -> None:
    pytest.importorskip("bitsandbytes", reason="NF4 needs bitsandbytes: make setup")
    weights = torch.randn(192, 512, generator=torch.Generator().manual_seed(1))
    dequantised = nf4._dequantised(nf4.linear4bit(weights).weight)
    torch.testing.assert_close(dequantised.double(), nf4_reference.reference(weights), rtol=1e-5, atol=1e-6)
