"""Answers: what all GPUs computed from the same numbers, and which of them computed otherwise. Pure.

Of three and more GPUs of one kind the majority is taken to be right. Where there is none, as between two, the errors
against fp64 on the CPU decide at the values that differ, if one GPU is clearly nearer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from dgxcert.outcome import Inconclusive
from dgxcert.workloads.correctness.same_bits import majority
from dgxcert.workloads.correctness.same_bits.majority import listed

CLEAR = 2.0
"""How many times as far from the exact value the wrong GPU must be. The last bit of a rounded value moves it by one
unit: the right one is off by half of that at most, and in two thirds of all values by less than a third."""
NOT_FINITE = 1e300
"""The error of a value that is not finite, which JSON cannot hold."""
SHOWN = 3
"""Differences that a report names."""


@dataclass(frozen=True)
class Apart:
    """The values in which a result differs from that of another GPU of its kind."""

    values: int
    of: int
    first: tuple[int, ...]
    """Index of the first such value, and of the last one, in C order."""
    last: tuple[int, ...]
    versus: str
    """The GPU that it was compared with."""

    def __str__(self) -> str:
        place = f"at {list(self.first)}" if self.values == 1 else f"from {list(self.first)} to {list(self.last)}"
        return f"{self.values} of {self.of} values, {place}"


@dataclass(frozen=True)
class Answer:
    """What one GPU computed, twice, from the same numbers."""

    digest: str
    """SHA-256 of its bits."""
    unrepeated: int = 0
    """Values in which the second computation differs from the first."""
    apart: Apart | None = None
    error: float | None = None
    """Largest error against fp64 on the CPU where GPUs differ, relative to the exact result; None where not needed or
    where there is no exact result, NOT_FINITE where a value is not finite."""


@dataclass(frozen=True)
class Difference:
    """One result of some GPUs that is not that of the others of their kind."""

    result: str
    odd: tuple[str, ...]
    """Those that differ from the majority, or that are wrong; without either all that do not agree."""
    certain: bool
    """Whether these are the wrong ones; else one of them at least is."""
    where: str
    errors: str = ""
    """The errors by which a wrong one was found, or why none was."""

    def __str__(self) -> str:
        who = listed(self.odd)
        if self.certain:
            return f"{who}: {self.result}, {self.where}{self.errors and f' ({self.errors})'}"
        return f"{who} differ in {self.result}, {self.where}: one of them at least is wrong, {self.errors}"


@dataclass(frozen=True)
class Answers:
    """The results of all GPUs."""

    kinds: dict[str, str]
    """The kind of each GPU, by its name."""
    results: dict[str, dict[str, Answer]]
    """By the name of a result and that of a GPU; a GPU is missing where it does not have this precision or kernel."""

    @property
    def alone(self) -> tuple[str, ...]:
        """GPUs that no other one of their kind can be compared with."""
        return tuple(name for names in self._groups for name in names if len(names) == 1)

    @property
    def compared(self) -> int:
        """How many GPUs were compared with another one of their kind."""
        return len(self.kinds) - len(self.alone)

    @property
    def source(self) -> str:
        """What was compared with what, as evidence states it."""
        groups = majority.by_kind(self.kinds)
        told = [f"{listed(names)} ({kind})" for kind, names in groups.items() if len(names) > 1]
        told += [f"nothing like {listed(self.alone)} to compare with"] if self.alone else []
        return f"SHA-256 of {len(self.results)} seeded results, each computed twice: {'; '.join(told)}"

    @cached_property
    def unrepeated(self) -> tuple[str, ...]:
        """Every result that a GPU did not repeat, in words."""
        return tuple(
            f"{name}: {result}, {answer.unrepeated} values when computed again"
            for result, answers in self.results.items()
            for name, answer in answers.items()
            if answer.unrepeated
        )

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Every result in which GPUs of a kind differ; one that does not repeat itself is not compared."""
        return tuple(
            difference
            for result, answers in self.results.items()
            for names in self._groups
            for difference in _difference(result, {name: answers[name] for name in names if name in answers})
        )

    @property
    def suspects(self) -> tuple[str, ...]:
        """The GPUs that computed something wrong, or one of which did, in their order."""
        named = {name for difference in self.differences for name in difference.odd}
        named |= {words.partition(":")[0] for words in self.unrepeated}
        return tuple(name for name in self.kinds if name in named)

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about the GPUs that differ; empty where none does."""
        if not self.suspects:
            return ()
        index = self.suspects[0].rpartition(" ")[2]
        return (
            f"Look at {listed(self.suspects)} first: {'; '.join(shown(self.unrepeated + self.differences))}",
            f"Read what the driver recorded of it: nvidia-smi -q -d ECC,ROW_REMAPPER -i {index}",
            "Run it again: `make validate ONLY=SAME-BITS`. A result that changes points at memory, one that stays at "
            "the chip.",
            "Take that GPU out of service and open a hardware case with this run folder if it returns.",
        )

    @property
    def lacking(self) -> dict[str, tuple[str, ...]]:
        """The results that a GPU lacks and another one of its kind has, by the name of the GPU."""
        found: dict[str, tuple[str, ...]] = {}
        for names in self._groups:
            of_kind = {name: [result for result, each in self.results.items() if name in each] for name in names}
            wanted = [result for result in self.results if any(result in has for has in of_kind.values())]
            found |= {name: lacks for name in names if (lacks := tuple(r for r in wanted if r not in of_kind[name]))}
        return found

    def require_compared(self) -> None:
        """Raise Inconclusive where no GPU has another one of its kind, or one lacks a result that the others have."""
        for name, lacks in self.lacking.items():
            raise Inconclusive(
                f"{name} lacks {len(lacks)} result{'s' * (len(lacks) > 1)} that others of its kind have, first "
                f"{lacks[0]}",
                "Read what the ranks printed: the newest log in the run folder, and `sudo dmesg | tail -50`.",
            )
        if not self.compared:
            raise Inconclusive(
                f"no two GPUs are of one kind, so that none can be compared: {'; '.join(self.kinds.values())}",
                "Look at their names and memory: nvidia-smi -q",
                "Name SAME-BITS under `not_applicable:` in the machine's profile if they are meant to differ.",
            )

    @property
    def _groups(self) -> list[tuple[str, ...]]:
        return list(majority.by_kind(self.kinds).values())


def shown(findings: Sequence[object]) -> list[str]:
    """The first few findings in words, and how many more there are.

    >>> shown(["GPU 0: a", "GPU 1: a", "GPU 2: a", "GPU 3: a"])
    ['GPU 0: a', 'GPU 1: a', 'GPU 2: a', '1 more']
    """
    more = len(findings) - SHOWN
    return [str(finding) for finding in findings[:SHOWN]] + [f"{more} more"] * (more > 0)


def _difference(result: str, answers: dict[str, Answer]) -> Iterator[Difference]:
    """The one difference of a result within a kind, or none."""
    steady = {name: answer for name, answer in answers.items() if not answer.unrepeated}
    found = majority.vote({name: answer.digest for name, answer in steady.items()})
    if not found.odd:
        return
    where = next((str(steady[name].apart) for name in found.odd if steady[name].apart), "in places unknown")
    if found.settled:
        yield Difference(result, found.odd, True, where)
        return
    wrong, told = _far_from_exact({name: steady[name].error for name in found.odd})
    yield Difference(result, wrong or found.odd, bool(wrong), where, told)


def _far_from_exact(errors: Mapping[str, float | None]) -> tuple[tuple[str, ...], str]:
    """Those whose error is clearly larger than the smallest one, and the errors in words."""
    known = {name: error for name, error in errors.items() if error is not None}
    if len(known) < len(errors):
        return (), "and nothing exact can say which"
    told = ", ".join(
        f"{name} {error:.3g}" if error < NOT_FINITE else f"{name} not finite" for name, error in known.items()
    )
    best = min(known.values())
    wrong = tuple(name for name, error in known.items() if error > CLEAR * best)
    if not wrong:
        return (), f"and the errors against fp64 do not say which: {told}"
    return wrong, f"errors against fp64: {told}"


ANSWER = TypeAdapter(Answer)


def parse(returned: Sequence[Mapping[str, Any]]) -> Answers:
    """The answers from what the ranks returned.

    >>> returned = [
    ...     {"name": "GPU 0", "kind": "NVIDIA H200", "results": {"bf16 product": {"digest": "5f2b"}}},
    ...     {"name": "GPU 1", "kind": "NVIDIA H200", "results": {"bf16 product": {"digest": "91c0"}}},
    ... ]
    >>> parse(returned).suspects
    ('GPU 0', 'GPU 1')
    """
    results: dict[str, dict[str, Answer]] = {}
    for rank in returned:
        for result, answer in rank["results"].items():
            results.setdefault(result, {})[rank["name"]] = ANSWER.validate_python(answer)
    return Answers({rank["name"]: rank["kind"] for rank in returned}, results)
