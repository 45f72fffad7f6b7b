"""What is left to do for each host in this call, and what is due now. Nothing here does I/O."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dgxcert.record.room.word import Word
from dgxcert.room.state import HostState, Stage

GATHER_S, GATHER_AT_MOST_S = 0.5, 3.0
"""A play begins once no other host has joined it for so long, or once the first has waited so long: hosts answer within
a moment of each other, and one play for many costs hardly more than one for one."""
EARLY = 0.25
"""Looks that are due within this share of the time between two join those that are due."""
FETCHING = {Stage.PACKS, Stage.FETCHES}
"""Stages that are tried again as one."""


@dataclass
class Job:
    """One host in this call."""

    stage: Stage | None
    """What it does next or now; None where nothing is left to do."""
    due_s: float = 0.0
    """When, by the monotonic clock."""
    busy: bool = False
    """Whether a play for it is under way."""
    tries: int = 0
    """How often this stage was tried in vain."""
    lost_since_s: float | None = None
    """Since when it cannot be reached, by the monotonic clock."""

    def go(self, stage: Stage | None, due_s: float) -> None:
        """Go on with a stage."""
        if stage is not self.stage and not {stage, self.stage} <= FETCHING:
            self.tries, self.lost_since_s = 0, None
        self.stage, self.due_s = stage, due_s


def first(host: HostState) -> Stage | None:
    """Where a call begins with a host, by what earlier calls have left: nothing is measured or fetched twice.

    A host that was stopped, or that died, takes the whole way: its validation is resumed when it begins.

    >>> first(HostState("a")), first(HostState("a", begun=True))
    (<Stage.ANSWERS: 'answers'>, <Stage.WORKS: 'works'>)
    """
    if host.word is Word.VALIDATED:
        return None
    if not host.under_way:
        return Stage.ANSWERS
    return Stage.WORKS if host.ending is None else Stage.PACKS


def due(
    jobs: Mapping[str, Job], now_s: float, look_s: float, at_once: int, may_begin: Callable[[Stage, str], bool]
) -> Iterator[tuple[Stage, list[str]]]:
    """The stages that begin now, each with its hosts; at most `at_once` hosts work at the same time, 0 for all.

    >>> jobs = {"a": Job(Stage.WORKS, due_s=100), "b": Job(Stage.WORKS, due_s=104), "c": Job(Stage.WORKS, due_s=119)}
    >>> list(due(jobs, now_s=100, look_s=20, at_once=0, may_begin=lambda stage, name: True))
    [(<Stage.WORKS: 'works'>, ['a', 'b'])]
    """
    on_the_way = any(each.busy and each.stage is not Stage.WORKS for each in jobs.values())
    for stage in Stage:
        early_s = EARLY * look_s if stage is Stage.WORKS else 0.0
        near = {
            name: each
            for name, each in jobs.items()
            if each.stage is stage and not each.busy and each.due_s - early_s <= now_s and may_begin(stage, name)
        }
        times = [each.due_s for each in near.values() if each.due_s <= now_s]
        if not times or (on_the_way and now_s - max(times) < GATHER_S and now_s - min(times) < GATHER_AT_MOST_S):
            continue
        names = list(near)
        if stage is Stage.BEGINS and at_once:
            names = names[: max(at_once - working(jobs), 0)]
        if names:
            yield stage, names


def working(jobs: Mapping[str, Job]) -> int:
    """How many hosts take one of the places of `--at-once`."""
    return sum(each.stage is Stage.WORKS or (each.stage is Stage.BEGINS and each.busy) for each in jobs.values())
