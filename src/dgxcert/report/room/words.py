"""The words that all reports of a room share: how many machines are what, and what is wrong, the worst last."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dgxcert.console import counted, on_one_line
from dgxcert.judgement.units import OF_TIME
from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record.room.document import Difference, HostResult, Outlier, PairResult, Room
from dgxcert.report.headline_figure import rounded

WELL = (Verdict.CERTIFIED, Verdict.REHEARSED, Verdict.PARTIAL)
ORDER = (*WELL, Verdict.INCONCLUSIVE, Verdict.REJECTED)
"""The verdicts, the worst last."""
NEWLINE = "\n"
MOST_KEYS = 3
"""Requirements that are named of one machine; more are counted."""


@dataclass(frozen=True)
class Spread:
    """A headline figure over the machines of one profile."""

    profile: str
    name: str
    label: str
    unit: str
    median: str
    least: str
    most: str
    hosts: int
    failed: int
    """How many of them failed the requirement that it comes from."""


def counts(room: Room) -> dict[str, int]:
    """How many hosts have which verdict, the worst last; those without are `not validated`."""
    verdicts = [host.verdict for host in room.hosts if host.validated]
    found = {verdict.value: verdicts.count(verdict) for verdict in ORDER if verdict in verdicts}
    absent = len(room.hosts) - len(verdicts)
    return {**found, **({"not validated": absent} if absent else {})}


def standing(host: HostResult) -> str:
    """What a host is in one expression: `REJECTED`, `not validated: no route`."""
    return host.verdict.value if host.validated and host.verdict else f"not validated: {host.word.value}"


def urgency(host: HostResult) -> int:
    """Where a host stands in a list that shows the worst first.

    >>> from dgxcert.record.room.word import Word
    >>> urgency(HostResult(name="a", address="a", word=Word.DIED))
    0
    """
    if host.verdict is Verdict.REJECTED and host.validated:
        return 1
    return 0 if not host.validated else 2 if host.verdict is Verdict.INCONCLUSIVE else 3


def problem(host: HostResult) -> str:
    """What is wrong with a host, on one line; "" for one that is well.

    >>> from dgxcert.record.room.word import Word
    >>> problem(HostResult(name="a", address="a", word=Word.REFUSED, said="Nothing listens at 10.0.0.1, port 22."))
    'Nothing listens at 10.0.0.1, port 22.'
    """
    if not host.validated:
        return on_one_line(host.said) or host.word.value
    failed_first = sorted(host.problems, key=lambda each: each.outcome is not Outcome.FAILED)
    shown = [
        f"{each.key} {each.outcome.label}: {each.reason.partition(NEWLINE)[0]}" for each in failed_first[:MOST_KEYS]
    ]
    more = len(host.problems) - len(shown)
    return on_one_line("; ".join([*shown, *([f"and {more} more"] if more else [])]))


def spreads(room: Room) -> list[Spread]:
    """The headline figures of the room, by profile and in the order of every report."""
    found: dict[tuple[str, str, str, str], list[tuple[float, bool]]] = {}
    for host in room.hosts:
        for figure in host.figures:
            kind = (host.profile, figure.name, figure.label, figure.unit)
            found.setdefault(kind, []).append((figure.value, figure.failed))
    profiles = list(dict.fromkeys(profile for profile, *_ in found))
    ordered = sorted(found.items(), key=lambda item: profiles.index(item[0][0]))
    return [_spread(kind, values) for kind, values in ordered]


def _spread(kind: tuple[str, str, str, str], values: Sequence[tuple[float, bool]]) -> Spread:
    profile, name, label, unit = kind
    percent = unit == OF_TIME
    numbers = [value * (100 if percent else 1) for value, _ in values]
    middle, least, most = map(rounded, (statistics.median(numbers), min(numbers), max(numbers)))
    failed = sum(is_failed for _, is_failed in values)
    shown = "% of the time" if percent else unit
    return Spread(profile, name, on_one_line(label), shown, middle, least, most, len(values), failed)


def pair_name(pair: PairResult) -> str:
    """The two machines of a pair: `spark-01 and spark-02`."""
    return on_one_line(" and ".join(pair.hosts))


def pair_says(pair: PairResult) -> str:
    """How a pair ended, on one line.

    >>> pair_says(PairResult(hosts=("a", "b"), says="b did not answer"))
    'a and b: not tested: b did not answer'
    """
    if not pair.results:
        return f"{pair_name(pair)}: not tested: {on_one_line(pair.says)}"
    return f"{pair_name(pair)}: {pair.outcome.label}: {on_one_line(pair.says)}"


def good_pairs(room: Room) -> list[str]:
    """How many pairs passed and how fast they are, and how many have no limits; none where there is neither."""
    passed = [pair for pair in room.pairs if pair.outcome is Outcome.PASSED]
    speeds = [pair.gbs for pair in passed if pair.gbs is not None]
    unasked = sum(pair.outcome is Outcome.NOT_APPLICABLE for pair in room.pairs)
    lines = [f"{len(passed)} of {len(room.pairs)} passed{_range(speeds)}"] if passed else []
    return lines + ([f"{counted(unasked, 'pair')} not tested: the profile has no limits for pairs"] if unasked else [])


def _range(speeds: list[float]) -> str:
    if not speeds:
        return ""
    least, most = f"{min(speeds):.3g}", f"{max(speeds):.3g}"
    return f", all_reduce {least} GB/s" if least == most else f", all_reduce {least} to {most} GB/s"


def wrong_pairs(room: Room) -> list[PairResult]:
    """The pairs that did not pass, though something is asked of them, failures last."""
    wrong = [pair for pair in room.pairs if not pair.well]
    return sorted(wrong, key=lambda pair: pair.outcome is Outcome.FAILED)


def outliers(room: Room) -> list[str]:
    """One sentence for each machine that differs from its like, by what it differs most in; then what divides a room.

    A machine with a low clock is an outlier in everything: a line for each quantity would hide the next machine.
    """
    by_host: dict[str, list[Outlier]] = {}
    for compared in room.compared:
        for outlier in compared.outliers:
            by_host.setdefault(outlier.host, []).append(outlier)
    return [
        *(on_one_line(_most(found)) for found in by_host.values()),
        *dict.fromkeys(on_one_line(compared.divided) for compared in room.compared if compared.divided),
    ]


def _most(found: Sequence[Outlier]) -> str:
    """The sentence of the largest difference, and in how much more the machine differs."""
    says, more = max(found, key=lambda outlier: outlier.away).says, len(found) - 1
    if not more:
        return says
    return f"{says}; it is one in {more} other {'quantity' if more == 1 else 'quantities'} too"


def differences(room: Room) -> list[str]:
    """One sentence for each setting that not all machines of a profile have in common.

    >>> kernel = Difference(profile="p", name="kernel", majority="6.14", count=29, others={"6.17": ("spark-17",)})
    >>> room = Room.model_construct(differences=(kernel,))
    >>> differences(room)
    ['kernel: 6.14 on 29; 6.17 on spark-17']
    """
    return [on_one_line(_difference(each)) for each in room.differences]


def _difference(difference: Difference) -> str:
    first = [f"{difference.majority} on {difference.count}"] if difference.majority else []
    others = [f"{value or 'none'} on {named(hosts)}" for value, hosts in difference.others.items()]
    unknown = [f"unknown on {named(difference.unknown)}"] if difference.unknown else []
    return f"{difference.name}: {'; '.join([*first, *others, *unknown])}"


def named(hosts: Sequence[str], most: int = 4) -> str:
    """Some hosts by name, or how many they are.

    >>> named(["a", "b"]), named(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c, d and 1 more')
    """
    more = f" and {len(hosts) - most} more" if len(hosts) > most else ""
    return ", ".join(hosts[:most]) + more


def meaning(room: Room) -> str:
    """What a room came to, in a sentence."""
    well = sum(host.validated and host.verdict in WELL for host in room.hosts)
    hosts = counted(len(room.hosts), "machine")
    if well == len(room.hosts):
        return f"All {hosts} passed." if well != 1 else "The only machine passed."
    return f"{well} of {hosts} passed."
