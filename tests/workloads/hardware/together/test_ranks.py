"""The ranks really run: two processes, joined by gloo, alone in turn and then at once, on a CPU for each GPU."""

import importlib
from typing import Any

import pytest

from dgxcert.judgement.limit import Bound
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads.distributed import launch
from dgxcert.workloads.hardware.together import comparison, copies, load, memory, transfer
from dgxcert.workloads.hardware.together.load import Sampled
from dgxcert.workloads.hardware.together.transfer import Transferred
from dgxcert.workloads.hardware.together.turns import Rounds

RANKS = tuple(Device("cpu", index, "CPU", margin_gib=0.1) for index in range(2))
TIMES: dict[str, Any] = {
    "peak": Bound(value=1e6, unit="GB/s", source="more than any"),
    "alone_s": 0.2,
    "warm_up_s": 0.05,
    "at_once_s": 0.5,
    "ours": (1, 1),
}
LIMIT_S = 120
pytestmark = pytest.mark.usefixtures("forked")


def run(module: Any, plan: copies.Plan | load.Plan) -> tuple[dict[str, Any], ...]:
    """What both ranks return of a module's work."""
    return launch.run(module.MODULE, RANKS, plan.model_dump(mode="json"), limit_s=LIMIT_S, backend="gloo")


def test_every_module_is_named_as_the_launcher_finds_it() -> None:
    for module in (load, memory, transfer):
        assert importlib.import_module(f"dgxcert.workloads.{module.MODULE}") is module


def test_two_ranks_multiply_in_turn_and_then_at_once() -> None:
    plan = load.Plan(size=64, products=1, hertz=10, **TIMES)
    first, second = (Sampled.model_validate(answer) for answer in run(load, plan))
    assert first.alone.end <= second.alone.began
    assert second.alone.end <= min(first.at_once.began, second.at_once.began)
    assert first.differing == second.differing == 0
    rates = comparison.compare(RANKS, [first, second], plan, "TFLOP/s")
    assert rates.until - rates.since >= comparison.OVERLAP * plan.at_once_s
    assert min(*rates.alone, *rates.at_once) > 0
    with pytest.raises(Inconclusive, match="GPU 0 was sampled 0 times"):
        load.judged(RANKS, [first, second], plan)


def test_two_ranks_copy_and_compare_every_word() -> None:
    plan = copies.Plan(size_bytes=2**20, **TIMES)
    measured = memory.judged(RANKS, [Rounds.model_validate(answer) for answer in run(memory, plan)], plan)
    assert measured.differing.value == 0
    assert measured.rates.siblings.value <= 1


def test_two_ranks_transfer_in_both_directions_and_say_where_their_memory_is() -> None:
    plan = copies.Plan(size_bytes=2**20, **TIMES)
    measured = transfer.judged(RANKS, [Transferred.model_validate(answer) for answer in run(transfer, plan)], plan)
    assert measured.differing.value == 0
    assert all("NUMA node" in place for place in measured.places)
