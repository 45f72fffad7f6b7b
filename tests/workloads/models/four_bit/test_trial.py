"""Our four-bit kernels are used where they are right on every shape of a layer, and faster on all of them together."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")
pytest.importorskip("bitsandbytes", reason="nf4 needs bitsandbytes: make setup")

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.models.four_bit import trial
from dgxcert.workloads.models.four_bit.trial import Choice, Contender
from dgxcert.workloads.models.four_bit.weights import FourBit

SHAPES = ((32, 128), (16, 256))
CPU = Device("cpu", 0, "CPU")


def right(inputs: Any, weights: Any) -> Any:
    return (inputs.float() @ FourBit(*weights).dequantised().T).bfloat16()


def one_group_lost(inputs: Any, weights: Any) -> Any:
    return right(torch.cat([inputs[:, :-128] * 1, inputs[:, -128:] * 0], 1), weights)


def not_compiled(*_: Any) -> Any:
    raise RuntimeError("ptxas failed\nand a trace")


class TritonError(Exception):
    """Triton's, which is no RuntimeError."""


def not_compiled_by_triton(*_: Any) -> Any:
    raise TritonError("out of resource: shared memory\nand a trace")


def no_numbers(inputs: Any, weights: Any) -> Any:
    return right(inputs, weights) * float("nan")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Choice]:
    """A trial in which a product computes as ours does, and each of ours takes so many seconds and the library's 1."""

    def compare(product: Callable[..., Any] = right, ours_s: float = 0.5, precision: str = "int4") -> Choice:
        monkeypatch.setattr(trial.linear_kernels, "four_bit_linear", product)

        def seconds(contender: Contender, _: Any) -> float:
            return ours_s if contender.linear is product else 1.0

        return trial.compare(CPU, precision, SHAPES, 3, seconds)

    return compare


@pytest.mark.parametrize("precision", ["int4", "nf4"])
def test_right_and_faster_kernels_are_used(tried: Callable[..., Choice], precision: str) -> None:
    choice = tried(precision=precision)
    assert choice.own
    assert choice.tried[0] == "32x128: 5e+05 us, 1e+06 by the library"
    assert choice.tried[-1] == "together 0.500 of its time"


@pytest.mark.parametrize(("ours_s", "own"), [(0.97, True), (0.99, False), (1.5, False)])
def test_kernels_that_save_too_little_are_not(tried: Callable[..., Choice], ours_s: float, own: bool) -> None:
    assert tried(ours_s=ours_s).own is own


@pytest.mark.parametrize(
    ("product", "reason"),
    [
        (one_group_lost, "refused, its error is"),
        (not_compiled, "refused, ptxas failed"),
        (not_compiled_by_triton, "refused, out of resource: shared memory"),
        (no_numbers, "refused, 96 of 96 computed values are not finite numbers"),
    ],
)
def test_kernels_that_err_or_fail_are_refused_however_fast(
    monkeypatch: pytest.MonkeyPatch, tried: Callable[..., Choice], product: Callable[..., Any], reason: str
) -> None:
    monkeypatch.setitem(sys.modules, "triton.errors", SimpleNamespace(TritonError=TritonError))
    choice = tried(product)
    assert not choice.own
    assert choice.tried[-1].partition(": ")[2].startswith(reason)
    assert not choice.tried[-1].endswith("trace")


@pytest.mark.parametrize(("precision", "library"), [("int4", "ATen"), ("nf4", "bitsandbytes")])
def test_the_record_says_whose_kernels_multiply_and_why(
    monkeypatch: pytest.MonkeyPatch, precision: str, library: str
) -> None:
    def missing() -> Any:
        raise ModuleNotFoundError("No module named 'triton'")

    monkeypatch.setattr(trial.operator, "register", missing)
    devices = {"is for GPUs": CPU, "no kernel of ours: No module named 'triton'": Device("cuda", 0, "GPU")}
    for reason, device in devices.items():
        evidence = Recorder()
        trial.choose(device, precision, SHAPES, 1).record(evidence)
        (item,) = evidence.kept
        assert (item.name, item.value) == ("4-bit products by", library)
        assert item.source.endswith(reason)


def test_the_weights_of_both_are_the_same() -> None:
    inputs = torch.randn(2, 128).bfloat16()
    for precision in ("int4", "nf4"):
        ours, theirs = trial.contenders(CPU, precision, (16, 128))
        products = right(inputs, ours.weights[0]), theirs.linear(inputs, theirs.weights[0])
        assert torch.allclose(*(product.float() for product in products), rtol=0.05, atol=0.2)
