"""The burn-in of all devices is one: common minutes, and the device that differs from its siblings is named."""

from dataclasses import replace
from typing import Any

import pytest

from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.burn_in.log import Cycle, Summary
from dgxcert.workloads.burn_in.siblings import BurnIn

GOOD = Cycle(at=0.0, seconds=20.0, matmul=91.6, copy=230.0, training=50.0, wrong=0, product="aa", weights="bb")
H200, L40S = "NVIDIA H200, 132 multiprocessors", "NVIDIA L40S"
CYCLES = 6


def device(kind: str = H200, numbers: tuple[int, ...] = (), **of_cycle: dict[int, Any]) -> Summary:
    """A device with cycles from 1 to 6, in which fields have other values by the number of the cycle."""
    cycles = [
        replace(
            GOOD,
            number=number,
            at=100.0 * number,
            **{name: by[number] for name, by in of_cycle.items() if number in by},
        )
        for number in numbers or range(1, CYCLES + 1)
    ]
    return Summary(tuple(cycles), settings={"kind": kind})


def burnt(*devices: Summary) -> BurnIn:
    return BurnIn({f"GPU {index}": each for index, each in enumerate(devices)})


def test_one_device_is_what_it_was() -> None:
    alone = Summary((GOOD,) * 4, pauses=1, interruptions=2, reboots=3, error_counts=(1, 2))
    burn_in = BurnIn({"GPU 0": alone})
    assert (burn_in.minutes, burn_in.source) == (alone.minutes, alone.source)
    assert burn_in.steadiness("copy") == alone.steadiness("copy")
    assert (burn_in.most("pauses"), burn_in.most("interruptions"), burn_in.most("reboots")) == (1, 2, 3)
    assert (burn_in.total("new_memory_errors"), burn_in.differences) == (1, ())
    assert burn_in.each("new_memory_errors", "NVML") == "NVML"
    assert burn_in.slowest("copy", "of start") == "of start"
    assert burn_in.compared == "one device: nothing to compare it with"
    assert burn_in.traces == (alone.trace(0),)


def test_minutes_are_those_in_which_all_worked_and_none_was_disturbed() -> None:
    whole = burnt(device(), device())
    assert (whole.minutes, whole.next_number) == (2.0, 7)
    assert whole.source == "6 cycles of matmuls, copies and training steps on 2 devices at the same time"
    assert burnt(device(), device(seconds={3: 17.0})).worked_s == 117.0, "until the first one is done"
    assert burnt(device(), device(shared={3: "another process"})).worked_s == 100.0
    assert burnt(device(unseen={2: "no answer"}), device(shared={3: "another process"})).worked_s == 80.0
    assert burnt(device(), device(numbers=(1, 2, 3, 4))).worked_s == 80.0, "a rank that died has fewer"
    assert burnt(device(numbers=(1, 2, 3)), device(numbers=(3, 4, 5))).worked_s == 20.0, "each counts with its like"
    assert burnt(device(numbers=(1, 9)), device(numbers=(1,))).next_number == 10
    assert burnt(Summary(), Summary()).next_number == 1
    unnumbered = Summary((GOOD,) * 4)
    assert burnt(unnumbered, unnumbered).worked_s == 0, "one after the other is not at the same time"


@pytest.mark.catches("BURN-IN", "a GPU whose results are wrong alike in every cycle, beside two that agree")
@pytest.mark.parametrize("result", ["product", "weights"])
def test_of_three_the_one_that_differs_is_named_with_its_cycle_and_time(result: str) -> None:
    burn_in = burnt(device(), device(**{result: {4: "zz", 6: "zz"}}), device())
    assert [(each.number, each.odd, each.certain) for each in burn_in.differences] == [
        (4, ("GPU 1",), True),
        (6, ("GPU 1",), True),
    ]
    words = f"GPU 1: other {result} than its siblings in 2 cycles, first in cycle 4 at 1970-01-01 00:06:40 UTC"
    assert burn_in.told == (words,)
    assert words in burn_in.compared
    with pytest.raises(Wrong, match="GPU 1: "):
        burn_in.require_correct()
    always = burnt(device(), device(), device(**{result: dict.fromkeys(range(1, 7), "zz")}))
    assert len(always.differences) == 6
    assert always.total("changed_results") == 0, "it agrees with itself"
    with pytest.raises(Wrong, match="results that differ between devices: GPU 2: other"):
        always.require_correct()


def test_of_two_the_one_that_has_changed_is_named_and_else_both() -> None:
    changed = burnt(device(product={3: "zz"}), device())
    assert [(each.odd, each.certain) for each in changed.differences] == [(("GPU 0",), True)]
    never = burnt(device(product=dict.fromkeys(range(1, 7), "zz")), device())
    assert {(each.odd, each.certain) for each in never.differences} == {(("GPU 0", "GPU 1"), False)}
    assert never.told == (
        "GPU 0 and GPU 1 differ in product in 6 cycles, first in cycle 1 at 1970-01-01 00:01:40 UTC: "
        "one of them at least is wrong",
    )


def test_only_devices_of_one_kind_are_compared_and_only_common_cycles() -> None:
    mixed = burnt(device(), device(L40S, product=dict.fromkeys(range(1, 7), "cc")), device())
    assert mixed.differences == ()
    assert "products and trained weights of GPU 0 and GPU 2 in 6 common cycles" in mixed.compared
    assert "nothing like GPU 1 to compare with" in mixed.compared
    mixed.require_correct()
    assert burnt(device(), device(numbers=(1, 2), product={2: "aa"}), device(numbers=(1, 2))).differences == ()


def test_cycles_that_do_not_count_are_compared_all_the_same() -> None:
    disturbed = burnt(device(), device(product={2: "zz"}, shared={2: "another process"}), device())
    assert [each.odd for each in disturbed.differences] == [("GPU 1",)]


def test_counts_name_the_device_that_they_are_of() -> None:
    burn_in = burnt(device(), device(wrong={2: 3, 5: 1}), device(wrong={1: 1}))
    assert burn_in.total("wrong_values") == 5
    assert burn_in.each("wrong_values", "every result") == "every result; GPU 1: 4, GPU 2: 1"
    with pytest.raises(Wrong, match="GPU 1: the burn-in found 4 wrong values"):
        burn_in.require_correct()
    assert burnt(device(), device()).each("wrong_values", "every result") == "every result"


def test_the_device_that_becomes_slowest_counts() -> None:
    burn_in = burnt(device(), device(copy=dict.fromkeys((4, 5, 6), 115.0)))
    assert burn_in.steadiness("copy") == 0.5
    assert burn_in.slowest("copy", "of start") == "of start; GPU 1"
    assert burn_in.steadiness("matmul") == 1.0


def test_what_nobody_saw_is_inconclusive_by_name() -> None:
    silent = burnt(device(), device(unseen={2: "no answer"}))
    with pytest.raises(Inconclusive, match="GPU 1: 1 of 6 cycles were not observed"):
        silent.require_observed()
    with pytest.raises(Inconclusive, match="GPU 0: the machine rebooted 1 times"):
        burnt(replace(device(), reboots=1), device()).require_observed()
    burnt(device(), device()).require_observed()
    with pytest.raises(Inconclusive, match=r"^the machine rebooted"):
        burnt(replace(device(), reboots=1)).require_observed()
