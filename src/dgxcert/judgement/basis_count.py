"""Basis count: how many of the limits that a run's results were compared with are measured, published and derived.

A limit counts once, however many quantities were compared with it, and only if at least one was: what a profile limits
and this run never measured says nothing about its verdict. Tolerances of arithmetic in the code are no limits of a
machine and do not count; neither does the number of GPUs, which the profile states outside its `limits`.
"""

from collections.abc import Iterable, Mapping

from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.limit import NOT_STATED, Basis, Limit


def count(limits: Mapping[str, Limit], evidence: Iterable[Evidence]) -> dict[str, int] | None:
    """Limits by basis; None where no limit of the profile states one, as in runs before 0.2.

    >>> limits = {"disk.free": Limit(name="disk.free", min=60, unit="GiB", source="the image", basis=Basis.DERIVED)}
    >>> comparison = {"sign": ">=", "name": "free", "value": 60, "unit": "GiB", "measured": 91, "holds": True}
    >>> held = [comparison | {"source": "limit disk.free: derived: the image"}]
    >>> count(limits, [Evidence(name="free", value=91, unit="GiB", source="statvfs", held_against=held)] * 2)
    {'measured': 0, 'published': 0, 'derived': 1}
    """
    if not any(limit.basis for limit in limits.values()):
        return None
    compared = {comparison.limit for item in evidence for comparison in item.held_against}
    bases = [limit.basis for name, limit in limits.items() if name in compared]
    counts = {basis.value: bases.count(basis) for basis in Basis}
    unstated = bases.count(None)
    return counts | ({NOT_STATED: unstated} if unstated else {})


def described(counts: Mapping[str, int] | None) -> str:
    """The counts for people.

    >>> described({"measured": 31, "published": 24, "derived": 14}), described(None)
    ('limits: 31 measured, 24 published, 14 derived', 'limits: basis not stated')
    """
    if counts is None:
        return "limits: basis not stated"
    return f"limits: {', '.join(f'{number} {basis}' for basis, number in counts.items())}"


EXPLAINED = (
    "A measured limit was read on known-good machines, a published one is stated by the maker or by users, and a "
    "derived one was concluded from other figures: only a clearly slow or faulty machine falls below it."
)
"""What the counts mean, in one sentence, for every reader of a certificate."""
