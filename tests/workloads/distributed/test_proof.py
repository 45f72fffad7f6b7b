"""The smallest faults of a collective are found and named, by real processes with gloo."""

from typing import Any

import pytest

from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine
from dgxcert.workloads.distributed import collectives, launch
from dgxcert.workloads.distributed.collectives import Proof

pytestmark = pytest.mark.usefixtures("planted", "forked")
MACHINE = Machine(hostname="spark-1", kernel="6.11", architecture="x86_64", cores=2)


def proof(ranks: tuple[Device, ...], kind: str) -> Proof:
    settings: dict[str, Any] = {"counts": [1, 1023], "bf16_count": 257, "kind": kind}
    return collectives.put_together(ranks, MACHINE, launch.run("proof", ranks, settings, limit_s=60))


@pytest.mark.catches("COLLECTIVES-CORRECT", "one bit of one element of one rank's result")
def test_one_wrong_element_is_named_with_rank_block_and_place(ranks: tuple[Device, ...]) -> None:
    found = proof(ranks, "wrong element")
    assert found.wrong == 2  # one in each run of the larger size
    assert "all_gather of 1023 integers: rank 1 got in run" in found.found
    assert "1 of 1023 elements of rank 0's block are wrong, the first at 700: there is element 701" in found.found


def test_a_wrong_byte_on_one_way_is_told_from_the_other_way(ranks: tuple[Device, ...]) -> None:
    ways = {"operations": ["forth", "back"], "kind": "wrong byte on one way"}
    sender, receiver = launch.run("proof", ranks, {"counts": [1, 1023], "bf16_count": 257, **ways}, limit_s=60)
    assert (sender["wrong"], receiver["wrong"]) == (0, 2)
    assert {each["operation"] for each in receiver["findings"]} == {"forth"}
    assert "the first at 700: there is element 701 of run" in receiver["findings"][0]["text"]
    assert sender["compared"] == receiver["compared"] == 2048  # each compares what it receives


def test_each_other_fault_is_named(ranks: tuple[Device, ...]) -> None:
    missing, stale, swapped = (proof(ranks, kind) for kind in ("missing rank", "stale", "swapped"))
    assert "rank 1 got in run" in missing.found
    assert "of the sum are wrong, the first at 0: rank 0's part is missing" in missing.found
    assert "there is element 0 of run" in stale.found
    assert "from rank 0 to all" in stale.found
    assert "of rank 0's block are wrong, the first at 0: there is element 0 of run" in swapped.found
    assert "from rank 1 to rank 0" in swapped.found


def test_a_rank_that_rounds_too_often_or_is_elsewhere_is_named(ranks: tuple[Device, ...]) -> None:
    imprecise, elsewhere = proof(ranks, "imprecise"), proof(ranks, "elsewhere")
    assert (imprecise.wrong, imprecise.rounded) == (0, "reduce_scatter on rank 1")
    assert imprecise.rounding > 2
    assert (elsewhere.wrong, elsewhere.places) == (0, "rank 1 works on rank 0")
