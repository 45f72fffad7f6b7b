"""The catalogue: what `@requirement` declared, for every test of the suite."""

import pytest

from dgxcert.plan import catalogue


@pytest.mark.parametrize("stray", [None, "GPU-PRESENT", {"id": "GPU-PRESENT"}])
def test_only_what_the_decorator_made_is_a_requirement(stray: object) -> None:
    def test_it() -> None: ...

    test_it.dgxcert_requirement = stray  # type: ignore[attr-defined]  # what the decorator would have put there
    assert catalogue.declared(test_it) is None
