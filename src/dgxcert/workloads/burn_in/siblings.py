"""Siblings: the burn-in of all devices of a machine as one, and the device whose results differ from its kind's. Pure.

A device that gives the same wrong bits in every cycle agrees with itself; its siblings do not agree with it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from dgxcert.machine.trace import Trace
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.workloads.burn_in import log
from dgxcert.workloads.burn_in.log import Cycle, Summary
from dgxcert.workloads.correctness.same_bits import majority

RESULTS = ("product", "weights")
"""Results of each cycle of which the log has a hash."""


@dataclass(frozen=True)
class Difference:
    """One result of one cycle in which devices of a kind differ."""

    number: int
    at: float
    """When the cycle ended, in seconds since 1970."""
    result: str
    odd: tuple[str, ...]
    """The devices that differ from the majority, or from their own first cycle; else all of the kind."""
    certain: bool


@dataclass(frozen=True)
class BurnIn:
    """What all devices did, by the name of each: `GPU 3`."""

    summaries: dict[str, Summary]

    @property
    def alone(self) -> Summary | None:
        """The summary of the only device; None where there are several."""
        only, *others = self.summaries.values()
        return None if others else only

    @cached_property
    def common(self) -> dict[int, tuple[Cycle, ...]]:
        """The cycles in which all devices worked at the same time, by number, those that do not count included."""
        numbered = [{each.number: each for each in summary.cycles} for summary in self.summaries.values()]
        shared = [number for number in numbered[0] if number is not None and all(number in each for each in numbered)]
        return {number: tuple(each[number] for each in numbered) for number in shared if number is not None}

    @cached_property
    def worked_s(self) -> float:
        """Seconds of the cycles that count on every device."""
        if self.alone:
            return 60 * self.alone.minutes
        counted = (cycles for cycles in self.common.values() if all(cycle.counts for cycle in cycles))
        return sum(min(cycle.seconds for cycle in cycles) for cycles in counted)

    @property
    def minutes(self) -> float:
        """Minutes of the cycles that count on every device."""
        return self.alone.minutes if self.alone else self.worked_s / 60

    @property
    def next_number(self) -> int:
        """The number of the next cycle, which no device has had."""
        numbers = (cycle.number or 0 for summary in self.summaries.values() for cycle in summary.cycles)
        return max(numbers, default=0) + 1

    @property
    def source(self) -> str:
        """How this was measured, as evidence states it."""
        if self.alone:
            return self.alone.source
        counted = sum(all(cycle.counts for cycle in cycles) for cycles in self.common.values())
        count = len(self.summaries)
        return f"{counted} cycles of matmuls, copies and training steps on {count} devices at the same time"

    def total(self, name: str) -> int:
        """A count of `Summary`, of all devices together."""
        return sum(int(getattr(summary, name)) for summary in self.summaries.values())

    def most(self, name: str) -> int:
        """A count of `Summary`, of the device with the most: an interruption of all is one."""
        return max(int(getattr(summary, name)) for summary in self.summaries.values())

    def each(self, name: str, source: str) -> str:
        """The source of a total, with the devices that add to it."""
        counts = {device: int(getattr(summary, name)) for device, summary in self.summaries.items()}
        told = [f"{device}: {count}" for device, count in counts.items() if count]
        return source if self.alone or not told else f"{source}; {', '.join(told)}"

    def steadiness(self, name: str) -> float:
        """The steadiness of the device that became the slowest; raises Inconclusive where one has too few cycles."""
        return min(self._steadiness(name).values())

    def slowest(self, name: str, source: str) -> str:
        """The source of a steadiness, with the device that it is of."""
        found = self._steadiness(name)
        return source if self.alone else f"{source}; {min(found, key=lambda device: found[device])}"

    def _steadiness(self, name: str) -> dict[str, float]:
        return {device: summary.steadiness(name) for device, summary in self.summaries.items()}

    @property
    def traces(self) -> tuple[Trace, ...]:
        """The trace of each device."""
        return tuple(summary.trace(int(name.rpartition(" ")[2])) for name, summary in self.summaries.items())

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The devices of each kind."""
        kinds = {name: str(summary.settings.get("kind", "")) for name, summary in self.summaries.items()}
        return tuple(majority.by_kind(kinds).values())

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Every result of a cycle in which devices of a kind differ, in order."""
        names = tuple(self.summaries)
        return tuple(
            difference
            for number, cycles in sorted(self.common.items())
            for group in self.groups
            for difference in self._between({name: cycles[names.index(name)] for name in group}, number)
        )

    def _between(self, cycles: Mapping[str, Cycle], number: int) -> Iterator[Difference]:
        for result in RESULTS:
            found = majority.vote({name: getattr(cycle, result) for name, cycle in cycles.items()})
            if found.odd:
                at = max(cycle.at for cycle in cycles.values())
                changed = tuple(name for name in found.odd if self._has_changed(name, result, cycles[name]))
                # A majority decides; without one a device whose own result has changed since its first cycle.
                odd = found.odd if found.settled else changed or found.odd
                yield Difference(number, at, result, odd, found.settled or bool(changed))

    def _has_changed(self, name: str, result: str, cycle: Cycle) -> bool:
        return bool(getattr(cycle, result) != getattr(self.summaries[name].cycles[0], result))

    @property
    def compared(self) -> str:
        """What was compared with what, and who differs since when, as evidence states it."""
        if self.alone:
            return "one device: nothing to compare it with"
        groups = "; ".join(majority.listed(group) for group in self.groups if len(group) > 1)
        alone = [name for group in self.groups if len(group) == 1 for name in group]
        told = [f"products and trained weights of {groups or 'no two devices'} in {len(self.common)} common cycles"]
        told += [f"nothing like {majority.listed(alone)} to compare with"] if alone else []
        return "; ".join([*told, *self.told])

    @property
    def told(self) -> tuple[str, ...]:
        """Who differs, in which results, and since when."""
        by_group: dict[tuple[tuple[str, ...], bool], list[Difference]] = {}
        for difference in self.differences:
            by_group.setdefault((difference.odd, difference.certain), []).append(difference)
        return tuple(_in_words(odd, certain, found) for (odd, certain), found in by_group.items())

    def require_correct(self) -> None:
        """Raise Wrong where anything was wrong on any device: that is a finding however the burn-in ended."""
        for name, summary in self.summaries.items():
            try:
                log.require_correct(summary)
            except Wrong as wrong:
                raise wrong if self.alone else Wrong(f"{name}: {wrong.problem}") from wrong
        if self.differences:
            raise Wrong(f"the burn-in found results that differ between devices: {'; '.join(self.told)}")

    def require_observed(self) -> None:
        """Raise Inconclusive where a reboot, or a driver that did not answer, hides what happened."""
        for name, summary in self.summaries.items():
            try:
                log.require_observed(summary)
            except Inconclusive as unknown:
                if self.alone:
                    raise
                raise Inconclusive(f"{name}: {unknown.problem}", *unknown.remedy) from unknown


def _in_words(odd: tuple[str, ...], certain: bool, found: list[Difference]) -> str:
    first = found[0]
    results = " and ".join(dict.fromkeys(difference.result for difference in found))
    cycles = len({difference.number for difference in found})
    since = f"in {cycles} cycles, first in cycle {first.number} at {datetime.fromtimestamp(first.at, UTC):%F %T} UTC"
    if certain:
        return f"{majority.listed(odd)}: other {results} than its siblings {since}"
    return f"{majority.listed(odd)} differ in {results} {since}: one of them at least is wrong"
