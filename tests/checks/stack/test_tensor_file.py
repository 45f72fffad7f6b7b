"""Tensor file: tensors, layout and metadata must be preserved, and a slice must not load the file."""

import dataclasses
from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.workloads.stack import tensor_file

CHECK = check_file.load("stack/test_tensor_file").test_tensors_are_preserved_byte_for_byte
HEALTHY = tensor_file.TensorFile("none", "as promised", tensor_file.KEPT, 0.004)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"changed": "bfloat16"}, "changed tensors"),
        ({"layout": "unaligned"}, "layout of the file"),
        ({"metadata": "format=pt"}, "metadata"),
        ({"piece_mib": 1024.0}, "memory for a slice"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch, judge: Callable[..., Recorder], change: dict[str, object], fault: str | None
) -> None:
    monkeypatch.setattr(tensor_file, "run", lambda *_: dataclasses.replace(HEALTHY, **change))
    judge(CHECK, fault)
