"""The answers of all GPUs are judged: by the majority, and by the error where there is none."""

from typing import Any

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.workloads.correctness.same_bits import answers, majority
from dgxcert.workloads.correctness.same_bits.answers import NOT_FINITE, Answers, Apart

H200, L40S = "NVIDIA H200, compute capability 9.0, 132 multiprocessors", "NVIDIA L40S"
PLACE = {"values": 3, "of": 100, "first": [1, 2], "last": [4, 5], "versus": "GPU 0"}


def of(*ranks: tuple[str, float | None], kinds: str = "", unrepeated: int | None = None) -> Answers:
    """Answers of GPUs in one result, each with its digest and error; `kinds` has a letter for each."""
    return answers.parse(
        [
            {
                "name": f"GPU {index}",
                "kind": L40S if kinds[index : index + 1] == "L" else H200,
                "results": {"a product": answer(digest, error, index == unrepeated)},
            }
            for index, (digest, error) in enumerate(ranks)
        ]
    )


def answer(digest: str, error: float | None, unrepeated: bool) -> dict[str, Any]:
    apart = None if digest == "aa" else PLACE
    return {"digest": digest, "unrepeated": 5 * unrepeated, "apart": apart, "error": error}


@pytest.mark.parametrize(
    ("digests", "odd", "settled"),
    [
        ("aaa", "", True),
        ("a", "", True),
        ("", "", True),
        ("aab", "2", True),
        ("baa", "0", True),
        ("aaaaabbb", "567", True),
        ("aabb", "0123", False),
        ("aabc", "0123", False),
        ("ab", "01", False),
        ("abc", "012", False),
    ],
)
def test_more_than_half_make_a_majority(digests: str, odd: str, settled: bool) -> None:
    found = majority.vote({str(index): digest for index, digest in enumerate(digests)})
    assert ("".join(found.odd), found.settled) == (odd, settled)


@pytest.mark.parametrize(
    ("errors", "wrong"),
    [
        ((0.001, 0.01), ("GPU 1",)),
        ((0.01, 0.001), ("GPU 0",)),
        ((0.001, 0.0021), ("GPU 1",)),
        ((0.001, 0.002), ()),
        ((0.0, 0.0), ()),
        ((0.001, NOT_FINITE), ("GPU 1",)),
        ((0.001, None), ()),
        ((None, None), ()),
    ],
)
def test_of_two_the_one_that_is_clearly_farther_from_exact_is_wrong(
    errors: tuple[float | None, ...], wrong: tuple[str, ...]
) -> None:
    (difference,) = of(("aa", errors[0]), ("bb", errors[1])).differences
    assert difference.certain == bool(wrong)
    assert difference.odd == (wrong or ("GPU 0", "GPU 1"))
    words = str(difference)
    assert "3 of 100 values, from [1, 2] to [4, 5]" in words
    assert ("one of them at least is wrong" in words) == (not wrong)


def test_two_that_are_wrong_alike_do_not_outvote_two_others() -> None:
    (difference,) = of(("aa", 0.001), ("bb", 0.5), ("bb", 0.5), ("aa", 0.001)).differences
    assert (difference.odd, difference.certain) == (("GPU 1", "GPU 2"), True)


def test_the_majority_decides_without_errors() -> None:
    found = of(("aa", None), ("aa", None), ("bb", None), ("aa", None))
    assert str(found.differences[0]) == "GPU 2: a product, 3 of 100 values, from [1, 2] to [4, 5]"
    assert found.suspects == ("GPU 2",)
    assert "-i 2" in found.remedy[1]


def test_only_gpus_of_one_kind_are_compared() -> None:
    found = of(("aa", None), ("bb", None), ("bb", None), kinds="HLL")
    assert (found.differences, found.compared, found.alone) == ((), 2, ("GPU 0",))
    assert "GPU 1 and GPU 2 (NVIDIA L40S); nothing like GPU 0 to compare with" in found.source
    found.require_compared()
    mixed = of(("aa", None), ("bb", None), kinds="HL")
    assert (mixed.differences, mixed.compared) == ((), 0)
    with pytest.raises(Inconclusive, match="no two GPUs are of one kind"):
        mixed.require_compared()


def test_a_gpu_that_does_not_repeat_itself_has_no_vote() -> None:
    found = of(("aa", None), ("bb", None), unrepeated=1)
    assert found.differences == ()
    assert found.unrepeated == ("GPU 1: a product, 5 values when computed again",)
    assert found.suspects == ("GPU 1",)
    assert found.remedy[0] == "Look at GPU 1 first: GPU 1: a product, 5 values when computed again"
    among = of(("aa", 0.1), ("bb", None), ("cc", 0.3), unrepeated=1)
    assert [difference.odd for difference in among.differences] == [("GPU 2",)]


def test_a_result_that_some_of_a_kind_lack_is_inconclusive_and_names_them() -> None:
    ranks: list[dict[str, Any]] = [
        {"name": f"GPU {index}", "kind": H200, "results": {"a": answer("aa", None, False)}} for index in range(3)
    ]
    ranks[0]["results"]["fp8 product"] = ranks[2]["results"]["fp8 product"] = answer("aa", None, False)
    found = answers.parse(ranks)
    assert found.differences == ()
    with pytest.raises(Inconclusive, match="GPU 1 lacks 1 result that others of its kind have, first fp8 product"):
        found.require_compared()
    ranks[1]["kind"] = L40S
    answers.parse(ranks).require_compared()


def test_one_value_has_a_place_and_several_have_two() -> None:
    assert str(Apart(1, 9, (2, 1), (2, 1), "GPU 0")) == "1 of 9 values, at [2, 1]"
    assert str(Apart(2, 9, (0, 0), (2, 1), "GPU 0")) == "2 of 9 values, from [0, 0] to [2, 1]"
