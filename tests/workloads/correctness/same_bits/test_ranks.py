"""Real ranks over gloo: a planted fault is named with its rank, its result and its place, and no process is left."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dgxcert import command
from dgxcert.machine.device import Device
from dgxcert.workloads.correctness.same_bits import answers, computations
from dgxcert.workloads.correctness.same_bits.answers import Answers, Apart
from dgxcert.workloads.distributed import launch

HERE = Path(__file__).parent
Worked = dict[tuple[str, ...], Answers]
PRODUCT = "bf16 product of 128x256x192 with seed 1"


SCENARIOS = (
    ("", ""),
    ("", "high bit"),
    ("", "nan"),
    ("weight", ""),
    ("", "once"),
    ("", "low bit", ""),
    ("", "", "weight"),
    ("seed", "", ""),
    ("", "", "rows"),
    ("", "kind", ""),
    ("kind", "low bit", ""),
    ("missing", "", ""),
)
"""The fault of each rank."""


@pytest.fixture(scope="module")
def worked(loaded: Callable[..., Any]) -> Worked:
    """The answers of each scenario; one launch of two ranks and one of three."""
    found: Worked = {}
    for size in (2, 3):
        wanted = [scenario for scenario in SCENARIOS if len(scenario) == size]
        returned = started(loaded, wanted)
        found |= {
            scenario: answers.parse(each) for scenario, each in zip(wanted, zip(*returned, strict=True), strict=True)
        }
    return found


def started(loaded: Callable[..., Any], scenarios: Sequence[Sequence[str]]) -> Sequence[Any]:
    """What each rank returned, a list with an answer for each scenario."""
    devices = tuple(Device("cpu", number, "CPU", margin_gib=0.1) for number in range(len(scenarios[0])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "start", loaded)
        patch.setattr(launch, "PACKAGE", "same_bits")
        patch.setenv("PYTHONPATH", str(HERE.parent))
        said = launch.run("faulty", devices, {"faults": [*zip(*scenarios, strict=True)]}, limit_s=240)
    return [rank["answers"] for rank in said]


def test_healthy_ranks_agree_in_every_result(worked: Worked) -> None:
    found = worked["", ""]
    assert (found.differences, found.unrepeated, found.suspects, found.remedy) == ((), (), (), ())
    assert (found.compared, found.alone) == (2, ())
    assert len(found.results) > 12
    assert {name.split()[0] for name in found.results} >= {"fp32", "bf16", "output", "dQ", "gradients", "weights"}


@pytest.mark.catches("SAME-BITS", "one bit of one value of one result on one of three GPUs")
def test_the_rank_with_a_flipped_bit_is_named_by_the_majority_with_the_place(worked: Worked) -> None:
    found = worked["", "low bit", ""]
    (difference,) = found.differences
    assert (difference.odd, difference.result, difference.certain) == (("rank 1",), PRODUCT, True)
    assert difference.where == "1 of 24576 values, at [17, 33]"
    assert found.suspects == ("rank 1",)
    assert {answer.error for answer in found.results[PRODUCT].values()} == {None}, "a majority needs no fp64"


@pytest.mark.catches("SAME-BITS", "a high bit of one value, or a value that is not finite, on one of two GPUs")
@pytest.mark.parametrize(("fault", "errors"), [("high bit", "errors against fp64"), ("nan", "rank 1 not finite")])
def test_of_two_ranks_the_one_that_is_far_from_the_exact_value_is_named(
    worked: Worked, fault: str, errors: str
) -> None:
    (difference,) = worked["", fault].differences
    assert (difference.odd, difference.result, difference.certain) == (("rank 1",), PRODUCT, True)
    assert errors in difference.errors


def test_where_nothing_exact_tells_one_of_both_is_wrong(worked: Worked) -> None:
    found = worked["weight", ""]
    named = {difference.result.split()[0]: difference for difference in found.differences}
    assert set(named) == {"gradients", "weights"}
    assert (named["weights"].odd, named["weights"].certain) == (("rank 0", "rank 1"), False)
    assert named["weights"].errors == "and nothing exact can say which"
    assert found.suspects == ("rank 0", "rank 1")


@pytest.mark.catches("SAME-BITS", "one bit of one weight of a training step on one of three GPUs")
def test_a_flipped_bit_of_one_weight_shows_in_all_that_was_trained(worked: Worked) -> None:
    found = worked["", "", "weight"]
    assert found.suspects == ("rank 2",)
    assert {difference.result.split()[0] for difference in found.differences} == {"gradients", "weights"}
    assert all(difference.certain for difference in found.differences)


def test_a_rank_with_another_seed_differs_in_every_product(worked: Worked) -> None:
    found = worked["seed", "", ""]
    products = [name for name in found.results if "product" in name]
    assert [difference.result for difference in found.differences] == products
    assert found.suspects == ("rank 0",)
    answer = found.results[PRODUCT]["rank 0"]
    assert answer.apart is not None
    assert (answer.apart.versus, answer.apart.values > 20_000) == ("rank 1", True)


def test_two_rows_that_were_lost_are_named_from_the_first_to_the_last_value(worked: Worked) -> None:
    found = worked["", "", "rows"].results[PRODUCT]
    assert found["rank 2"].apart == Apart(2 * 192, 128 * 192, (5, 0), (6, 191), "rank 0")
    assert found["rank 0"].apart is None


@pytest.mark.catches("SAME-BITS", "one bit that one GPU computes otherwise the second time")
def test_a_rank_that_does_not_repeat_itself_is_named_and_not_compared(worked: Worked) -> None:
    found = worked["", "once"]
    assert found.unrepeated == (f"rank 1: {PRODUCT}, 1 values when computed again",)
    assert (found.differences, found.suspects) == ((), ("rank 1",))


def test_ranks_of_other_kinds_are_not_compared(worked: Worked) -> None:
    found = worked["", "kind", ""]
    assert (found.compared, found.alone, found.differences) == (2, ("rank 1",), ())
    assert "nothing like rank 1 to compare with" in found.source


def test_a_rank_of_another_kind_passes_the_bytes_of_others_on(worked: Worked) -> None:
    found = worked["kind", "low bit", ""]
    assert found.results[PRODUCT]["rank 0"].apart is None
    (difference,) = found.differences
    assert set(difference.odd) <= {"rank 1", "rank 2"}
    assert difference.where == "1 of 24576 values, at [17, 33]"


def test_a_rank_that_lacks_a_precision_keeps_step_with_the_others(worked: Worked) -> None:
    found = worked["missing", "", ""]
    assert set(found.results[PRODUCT]) == {"rank 1", "rank 2"}
    assert set(found.results["gradients of a fp32 training step"]) == {"rank 0", "rank 1", "rank 2"}
    assert found.differences == ()


def test_every_precision_and_kernel_is_computed_with_several_seeds() -> None:
    for kind in ("cpu", "cuda"):
        names = [getattr(each, "name", "") for each in computations.every(kind)]
        for precision in computations.PRECISIONS[kind]:
            assert sum(name.startswith(precision) for name in names) >= 3
    rows, inner, columns, _ = zip(*computations.SHAPES["cuda"], strict=True)
    assert all(size % 16 == 0 for size in (*rows, *inner, *columns))
    assert max(rows) // 128 * max(columns) // 256 > 160, "every multiprocessor has a tile"
