"""The table of decode steps says where each can be used, and why not elsewhere."""

import dataclasses
import importlib
import types

import pytest

from dgxcert.workloads.inference import decode_steps
from dgxcert.workloads.inference.decode_steps import (
    ACTIVATION_ONCE,
    BLOCK_ARGMAX,
    DEPENDENT_LAUNCH,
    FUSED_NORM,
    FUSED_ROTARY,
    HEAD_ARGMAX,
    Place,
)

H200 = Place("cuda", (9, 0), True, "bf16", 1, 128256, True, True, True)
FUSED = {ACTIVATION_ONCE, FUSED_NORM, FUSED_ROTARY}
ONE_ROW = FUSED | {HEAD_ARGMAX}
ALL = ONE_ROW | {DEPENDENT_LAUNCH, BLOCK_ARGMAX}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({}, set()),
        ({"precision": "fp16"}, set()),
        ({"capability": (12, 1)}, set()),
        ({"capability": (8, 9)}, {DEPENDENT_LAUNCH}),
        ({"has_dependent_launch": False}, {DEPENDENT_LAUNCH}),
        ({"compiled": False}, {DEPENDENT_LAUNCH}),
        ({"batch": 8}, ONE_ROW),
        ({"has_triton": False}, {HEAD_ARGMAX}),
        ({"halves_alike": False}, {FUSED_ROTARY}),
        ({"vocabulary": 128255}, {BLOCK_ARGMAX}),
        ({"precision": "fp32"}, ALL),
        ({"precision": "int4"}, ALL),
        ({"kind": "cpu", "capability": (0, 0), "precision": "fp32"}, {DEPENDENT_LAUNCH, HEAD_ARGMAX}),
        ({"kind": "cpu", "capability": (0, 0), "precision": "nf4"}, ALL),
        ({"kind": "cpu", "capability": (0, 0), "batch": 4}, ALL),
    ],
    ids=str,
)
def test_a_step_is_used_where_it_can_be(change: dict[str, object], left: set[str]) -> None:
    place = dataclasses.replace(H200, **change)  # type: ignore[arg-type]
    assert set(decode_steps.obstacles(place)) == left
    assert set(decode_steps.usable(place)) == ALL - left
    assert all(decode_steps.obstacles(place).values())


def test_dependent_launch_is_looked_for_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the workloads need torch: make setup")
    inductor = importlib.import_module("torch._inductor")
    importlib.import_module("torch._inductor.config")
    for options, known in ({"enable_pdl": False}, True), ({}, False):
        monkeypatch.setattr(inductor, "config", types.SimpleNamespace(triton=types.SimpleNamespace(**options)))
        assert decode_steps.has_dependent_launch() == known


def test_only_dependent_launch_is_an_option_of_the_compiler() -> None:
    assert decode_steps.compiler_options(frozenset(ALL)) == {"triton.enable_pdl": True}
    assert decode_steps.compiler_options(frozenset(FUSED)) == {}
