"""The quick part of every attack holds; `make attack` runs all of it."""

import pytest
from attacks import matrix

ENGINE = {"container"}
"""Subjects that need a container engine: tests/integration attacks with them."""


@pytest.mark.parametrize("name", sorted(set(matrix.subjects()) - ENGINE))
def test_the_quick_part_of_an_attack_does_no_harm(name: str) -> None:
    found = matrix.tally(name, seed=1, quick=True)
    assert found.harmed == []
    assert found.tried > 0
