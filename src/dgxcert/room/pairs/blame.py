"""Blame: which end of a failed pair is at fault, found by trying each end once more with another partner. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from dgxcert.outcome import Outcome
from dgxcert.record.room.document import PairResult
from dgxcert.room.pairs.rounds import Row


def confirmations(results: Sequence[PairResult], rows: Sequence[Row]) -> tuple[Row, ...]:
    """The pairs to try once more: each end of a failed pair with another partner of the inventory.

    A partner whose pairs have not failed is taken first: with one that fails too, nothing is learned.

    >>> failed = PairResult(hosts=("a", "b"), says="", results=())
    >>> confirmations([], [("a", "b")])
    ()
    """
    outcomes = {result.hosts: result.outcome for result in results if not result.confirmation}
    failed = [hosts for hosts, outcome in outcomes.items() if outcome is Outcome.FAILED]
    wanted: dict[frozenset[str], Row] = {}
    for hosts in failed:
        for end in hosts:
            row = _other_row(end, hosts, rows, outcomes)
            if row is not None:
                wanted.setdefault(frozenset(row), row)
    return tuple(wanted.values())


def _other_row(end: str, hosts: Row, rows: Sequence[Row], outcomes: Mapping[Row, Outcome]) -> Row | None:
    """Another pair of the inventory in which an end is; one that did not fail where there is one."""
    others = [row for row in rows if end in row and set(row) != set(hosts)]
    return min(others, key=lambda row: outcomes.get(row) is Outcome.FAILED, default=None)


def blamed(result: PairResult, confirmed: Sequence[PairResult]) -> PairResult:
    """A failed pair, with what its ends did with other partners in its sentence."""
    if result.outcome is not Outcome.FAILED or result.confirmation:
        return result
    return result.model_copy(update={"says": f"{result.says}; {_verdict(result.hosts, confirmed)}"})


def _verdict(hosts: Row, confirmed: Sequence[PairResult]) -> str:
    """Which end is at fault, as far as its other partners tell."""
    outcomes = {end: dict(_with_others(end, hosts, confirmed)) for end in hosts}
    well = [end for end in hosts if Outcome.PASSED in outcomes[end].values()]
    bad = [end for end in hosts if Outcome.FAILED in outcomes[end].values() and end not in well]
    if len(well) == len(hosts):
        ways = " and ".join(f"{end} with {_partner(outcomes[end], Outcome.PASSED)}" for end in hosts)
        return f"{ways} are well, so that the cable between {hosts[0]} and {hosts[1]} is at fault, or its ports"
    if well and bad:
        return (
            f"{bad[0]} fails with {_partner(outcomes[bad[0]], Outcome.FAILED)} too, and {well[0]} is well with "
            f"{_partner(outcomes[well[0]], Outcome.PASSED)}: {bad[0]} is at fault"
        )
    if well:
        return (
            f"{well[0]} is well with {_partner(outcomes[well[0]], Outcome.PASSED)}: {_other(well[0], hosts)} or the "
            "cable is at fault"
        )
    if len(bad) == len(hosts):
        return "both ends fail with other partners too"
    if bad:
        partner = _partner(outcomes[bad[0]], Outcome.FAILED)
        return f"{bad[0]} fails with {partner} too, so that it may be at fault; try {_other(bad[0], hosts)} elsewhere"
    return "no other pair of its ends was tested, so that either end or the cable may be at fault"


def _with_others(end: str, hosts: Row, confirmed: Sequence[PairResult]) -> Iterator[tuple[str, Outcome]]:
    for each in confirmed:
        if end in each.hosts and set(each.hosts) != set(hosts):
            yield _other(end, each.hosts), each.outcome


def _other(end: str, hosts: Row) -> str:
    return hosts[1] if hosts[0] == end else hosts[0]


def _partner(outcomes: Mapping[str, Outcome], wanted: Outcome) -> str:
    return next(name for name, outcome in outcomes.items() if outcome is wanted)
