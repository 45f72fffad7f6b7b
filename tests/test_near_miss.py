"""A wrong word is answered with the right one, in few words, however many words there are."""

import pytest
from paths import ROOT

from dgxcert import near_miss
from dgxcert.judgement.units import QUANTITIES
from dgxcert.plan import suite
from dgxcert.plan.selection import any_gpu

LONGEST = 250
"""Characters of a hint: three lines of a terminal of 80 columns."""


@pytest.fixture(scope="module")
def requirements() -> list[str]:
    """Ids, keys and groups, as `--only` takes them."""
    entries = suite.collect(ROOT, gpus=1)
    return sorted({word for entry in entries for word in (entry.id, any_gpu(entry.key), entry.group)})


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("DECODE-SPED", "DECODE-SPEED"),
        ("decode-speed", "DECODE-SPEED"),
        ("decode_speed", "DECODE-SPEED"),
        ("deocde-speed", "DECODE-SPEED"),
        ("DECODE", "DECODE-SPEED"),
        ("DECODESPEED", "DECODE-SPEED"),
        ("gpu-presnt", "GPU-PRESENT"),
        ("bandwidth", "MEMORY-BANDWIDTH"),
        ("prefill", "PREFILL-SPEED"),
        ("DECODE-SPEED[bf16-tuned-sngle]", "DECODE-SPEED[bf16-tuned-single]"),
        ("DECODE-SPEED(bf16-tuned-single)", "DECODE-SPEED[bf16-tuned-single]"),
        ("stak", "stack"),
        ("GPU", "gpu"),
        ("benchmark", "benchmarks"),
    ],
)
def test_a_misspelt_requirement_is_found(requirements: list[str], typed: str, meant: str) -> None:
    assert near_miss.closest(typed, requirements)[0] == meant


@pytest.mark.parametrize("typed", ["NOSUCH", "", "-", "xyzzy", "*", "A" * 4096])
def test_a_word_that_is_like_nothing_gets_a_short_answer(requirements: list[str], typed: str) -> None:
    said = near_miss.hint(typed, requirements)
    assert said.startswith("none of the ")
    assert len(said) < LONGEST


def test_no_answer_is_long(requirements: list[str]) -> None:
    for known in (requirements, sorted(QUANTITIES)):
        for word in known:
            assert len(near_miss.hint(word[:-1], known)) < LONGEST
            assert word in near_miss.closest(word.lower(), known)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("decode.bf61", "did you mean 'decode.bf16'?"),
        ("spred", "did you mean 'spread'?"),
        ("matmul", "did you mean 'matmul.bf16' or 'matmul.fp16'?"),
        ("zzz", "known: decode.bf16, matmul.bf16, matmul.fp16, spread"),
    ],
)
def test_the_likeliest_words_are_named_or_all_where_they_are_few(word: str, hint: str) -> None:
    assert near_miss.hint(word, ["spread", "matmul.bf16", "matmul.fp16", "decode.bf16"]) == hint


def test_without_any_known_word_the_answer_is_still_a_sentence() -> None:
    assert near_miss.hint("a", []) == "nothing is known"
