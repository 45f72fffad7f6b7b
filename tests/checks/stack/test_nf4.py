"""NF4: a wrong matmul fails, and so do weights of more than 4 bits."""

import dataclasses
from collections.abc import Callable

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.workloads.correctness import nf4_reference

CHECK = check_file.load("stack/test_nf4").test_nf4_layer_computes_the_reference_result
HEALTHY = nf4_reference.NF4Layer(1.6e-3, 4.0)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"error": 0.1}, "NF4 matmul error"),
        ({"bits": 8.0}, "bits of a weight"),
    ],
)
def test_each_comparison_fails_alone(
    monkeypatch: pytest.MonkeyPatch,
    judge: Callable[..., Recorder],
    cpu: Device,
    change: dict[str, object],
    fault: str | None,
) -> None:
    monkeypatch.setattr(nf4_reference, "run", lambda *_: dataclasses.replace(HEALTHY, **change))
    judge(CHECK, fault, cpu)
