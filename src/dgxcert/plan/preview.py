"""The preview of a run: what would be measured, for how long, and what that downloads and needs. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dgxcert.plan import lanes
from dgxcert.plan.estimate import PROCESS_S, Estimate
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.profiles.profile import Profile


@dataclass(frozen=True)
class Group:
    """The requirements of one group that would be measured."""

    name: str
    requirements: int
    """By id: the cases of one are one."""
    cases: int
    seconds: float


@dataclass(frozen=True)
class Preview:
    """A run before it begins. `downloads` and `needs` have a word and what is known of it."""

    options: Options
    profile: Profile
    plan: tuple[Planned, ...]
    known: Mapping[str, float]
    """Seconds that requirements took in earlier runs of this machine, by key."""
    downloads: tuple[tuple[str, str], ...]
    needs: tuple[tuple[str, str], ...]

    @property
    def running(self) -> list[Planned]:
        """What would be measured, where nothing keeps a stage from beginning."""
        return [entry for entry in self.plan if entry.runs]

    @property
    def seconds(self) -> float:
        """How long the measuring takes, without downloads and an image build."""
        return self._seconds(self.running) + PROCESS_S * lanes.starts(self.running)

    @property
    def from_here(self) -> int:
        """Of how many requirements the duration is known from earlier runs of this machine."""
        return sum(entry.key in self.known for entry in self.running)

    @property
    def groups(self) -> list[Group]:
        """What would be measured by group, in the order of the plan."""
        names = dict.fromkeys(entry.group for entry in self.running)
        return [_group(name, mine, self._seconds(mine)) for name in names if (mine := self._of(name))]

    @property
    def left_out(self) -> dict[str, list[Planned]]:
        """What would not be measured, by reason, the most frequent first."""
        reasons: dict[str, list[Planned]] = {}
        for entry in self.plan:
            if not entry.runs:
                reason = f"not applicable, {entry.not_applicable}" if entry.not_applicable else entry.not_run
                reasons.setdefault(reason, []).append(entry)
        return dict(sorted(reasons.items(), key=lambda item: -len(item[1])))

    def _of(self, group: str) -> list[Planned]:
        return [entry for entry in self.running if entry.group == group]

    def _seconds(self, entries: Iterable[Planned]) -> float:
        return Estimate(self.running, self.known).left(entries)


def _group(name: str, entries: list[Planned], seconds: float) -> Group:
    return Group(name, len({entry.id for entry in entries}), len(entries), seconds)
