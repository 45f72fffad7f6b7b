"""Limits are counted by basis: each once, only those that something was compared with, and none as what it is not."""

from dgxcert.judgement.basis_count import count, described
from dgxcert.judgement.evidence import Evidence, Recorder
from dgxcert.judgement.limit import Basis, Limit

LIMITS = {
    name: Limit(name=name, min=1, unit="GB/s", source="a source", basis=basis)
    for name, basis in {
        "bandwidth.copy": Basis.MEASURED,
        "bandwidth.read": Basis.PUBLISHED,
        "load.mmap": Basis.DERIVED,
        "load.read": Basis.DERIVED,
        "transfer.to_host": None,
    }.items()
}


def compared(*names: str) -> list[Evidence]:
    """One quantity compared with each of these limits; a name without a limit is a tolerance of the code."""
    recorder = Recorder()
    for name in names:
        limit = LIMITS.get(name) or Limit(name=name, min=1, unit="GB/s", source="arithmetic", basis=Basis.DERIVED)
        assert recorder.record(name, 2, unit="GB/s", source="a test") >= limit
    return recorder.kept


def test_each_limit_counts_once_and_only_where_something_was_compared_with_it() -> None:
    evidence = compared("bandwidth.copy", "bandwidth.copy", "load.mmap", "load.read")
    assert count(LIMITS, evidence) == {"measured": 1, "published": 0, "derived": 2}


def test_a_limit_without_a_basis_counts_as_none_of_the_three() -> None:
    assert count(LIMITS, compared("bandwidth.read", "transfer.to_host")) == {
        "measured": 0,
        "published": 1,
        "derived": 0,
        "not stated": 1,
    }


def test_a_tolerance_of_the_code_and_a_plain_fact_are_no_limits_of_the_machine() -> None:
    recorder = Recorder()
    assert recorder.record("limit load.mmap: a hostile name", True, source="limit load.mmap: x").holds()
    assert count(LIMITS, [*compared("tolerance of bf16 products"), *recorder.kept]) == {
        "measured": 0,
        "published": 0,
        "derived": 0,
    }


def test_a_profile_that_states_no_basis_is_said_to_state_none() -> None:
    unstated = {name: limit.model_copy(update={"basis": None}) for name, limit in LIMITS.items()}
    assert count(unstated, compared("load.read")) is None
    assert described(None) == "limits: basis not stated"
