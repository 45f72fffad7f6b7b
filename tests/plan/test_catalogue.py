"""The catalogue: what `@requirement` declared, for every test of the suite."""

import re

import pytest

from dgxcert.plan import catalogue, suite


@pytest.mark.parametrize("stray", [None, "GPU-PRESENT", {"id": "GPU-PRESENT"}])
def test_only_what_the_decorator_made_is_a_requirement(stray: object) -> None:
    def test_it() -> None: ...

    test_it.dgxcert_requirement = stray  # type: ignore[attr-defined]  # what the decorator would have put there
    assert catalogue.declared(test_it) is None


LONGEST_TITLE = 80
NAMES = ("accelerate", "bf16", "datasets", "evaluate", "safetensors", "torch")
"""Names with which a title may begin although they are written in lower case."""


@pytest.fixture(scope="module")
def titles() -> dict[str, str]:
    """The title of every requirement of the suite."""
    return {entry.id: entry.title for entry in suite.collect(suite.root(), gpus=1)}


def test_no_two_requirements_of_the_suite_have_the_same_title(titles: dict[str, str]) -> None:
    assert len(titles) > 60
    assert len(set(titles.values())) == len(titles)


def test_every_title_of_the_suite_is_a_short_sentence_without_its_full_stop(titles: dict[str, str]) -> None:
    sentence = re.compile(rf"([A-Z]|({'|'.join(NAMES)})\b).*[^.\s]")
    assert [title for title in titles.values() if not sentence.fullmatch(title)] == []
    assert [title for title in titles.values() if len(title) > LONGEST_TITLE] == []


RETIRED = {"INT4-COMPUTES"}
"""Ids of earlier versions, which old runs contain: an id never changes its meaning and is never reused."""


def test_no_requirement_of_the_suite_reuses_a_retired_id(titles: dict[str, str]) -> None:
    assert not RETIRED & set(titles)
