"""What saves time and memory changes nothing that is read."""

import gc

from suites import example

from dgxcert.record import economy


def test_shared_names_of_fields_are_those_of_each_model() -> None:
    first, second = example.started("A"), example.started("B")
    names = set(second.model_fields_set)
    for event in (first, second):
        economy.share(event)
    assert first.model_fields_set is second.model_fields_set
    assert second.model_fields_set == names
    assert second == example.started("B")


def test_a_copy_of_a_model_has_names_of_its_own() -> None:
    event = example.finished("A")
    economy.share(event)
    names = set(event.model_fields_set)
    event.model_copy(update={"repeats": 1})
    assert event.model_fields_set == names


def test_cycles_are_collected_again_afterwards() -> None:
    with economy.uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
