"""A device that multiplies integers exactly has no wrong entry, and one wrong entry is counted."""

import json
import runpy
import sys

import pytest

torch = pytest.importorskip("torch", reason="the multiplication needs torch: make setup")

from dgxcert.probes.gpu import compute

CPU = {"device": "cpu", "product": "CPU", "uuid": "", "wrong": 0}


def test_the_program_prints_each_device_with_its_wrong_entries(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["compute", "cpu"])
    monkeypatch.delitem(sys.modules, compute.__name__)  # runpy warns of a module that is loaded already
    runpy.run_module(compute.__name__, run_name="__main__")
    assert json.loads(capsys.readouterr().out) == [CPU]


@pytest.mark.parametrize("error", [1.0, float("nan")])
def test_a_wrong_entry_is_counted(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    multiply = torch.Tensor.__matmul__

    def miscalculate(left: "torch.Tensor", right: "torch.Tensor") -> "torch.Tensor":
        product = multiply(left, right)
        if product.is_floating_point():
            product[5, 7] += error
        return product

    monkeypatch.setattr(torch.Tensor, "__matmul__", miscalculate)
    assert compute.compute("cpu") == [{**CPU, "wrong": 1}]


def test_without_a_gpu_no_device_has_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert compute.compute("cuda") == []
