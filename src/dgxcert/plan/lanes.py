"""Lanes: what is measured side by side on a machine with several GPUs, and what alone, in order. Pure.

A requirement about one GPU uses nothing but that GPU and its share of the host: a lane for each GPU measures these at
the same time. What uses the machine as a whole (its disk, its links, the engine, all GPUs) is measured with no lane
beside it. So eight GPUs take little longer than one.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from dgxcert.judgement.requirement import Stage
from dgxcert.plan.selection import Planned

GPU = re.compile(r"gpu(\d+)\]$")
TIMED = "benchmarks"
"""The group of what is timed, which comes after what is checked."""


class Lane(NamedTuple):
    """What the children of one lane measure, one requirement at a time."""

    gpu: int | None
    """The GPU that all of it is about; None where the lane has the machine for itself."""
    plan: tuple[Planned, ...]

    @property
    def name(self) -> str:
        """The lane in messages and names of files: `gpu3`, or "" where it has the machine for itself."""
        return "" if self.gpu is None else f"gpu{self.gpu}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its requirements, in order."""
        return tuple(entry.key for entry in self.plan)


Phase = tuple[Lane, ...]
"""Lanes that run at the same time. The next phase begins when all of them have ended."""


def phases(plan: Sequence[Planned]) -> tuple[Phase, ...]:
    """The phases of one stage: what is checked alone, then each GPU beside the others, then what is timed alone.

    A stage on the host, and a plan for one GPU, is one phase of one lane.
    """
    if not _has_lanes(plan):
        return ((Lane(None, tuple(plan)),),) if plan else ()
    alone = [entry for entry in plan if not is_beside(entry)]
    checked = tuple(entry for entry in alone if entry.group != TIMED)
    timed = tuple(entry for entry in alone if entry.group == TIMED)
    lanes: dict[int, list[Planned]] = {}
    for entry in plan:
        if is_beside(entry):
            lanes.setdefault(gpu_of(entry.key) or 0, []).append(entry)
    beside = tuple(Lane(gpu, tuple(entries)) for gpu, entries in sorted(lanes.items()))
    found = ((Lane(None, checked),), beside, (Lane(None, timed),))
    return tuple(phase for phase in found if any(lane.plan for lane in phase))


def _has_lanes(plan: Iterable[Planned]) -> bool:
    return len({gpu_of(entry.key) for entry in plan if is_beside(entry)}) > 1


def is_beside(entry: Planned) -> bool:
    """Whether other GPUs may be measured beside it; not a lab's own checks, of which nobody knows what they use."""
    return gpu_of(entry.key) is not None and entry.stage is Stage.WORK and not (entry.alone or entry.own)


def gpu_of(key: str) -> int | None:
    """The GPU in a key; None on a machine with one, and where a requirement is about all of them.

    >>> gpu_of("DECODE-SPEED[int4-gpu3]"), gpu_of("BF16-CORRECT[gpu0]"), gpu_of("COLLECTIVE-SPEED[broadcast]")
    (3, 0, None)
    """
    found = GPU.search(key)
    return int(found[1]) if found else None


def stages(plan: Iterable[Planned]) -> list[tuple[Phase, ...]]:
    """The phases of every stage of a plan, a lab's own checks apart, as they have stages of their own."""
    found: dict[tuple[Stage, bool], list[Planned]] = {}
    for entry in plan:
        found.setdefault((entry.stage, entry.own), []).append(entry)
    return [phases(entries) for entries in found.values()]


def elapsed_s(plan: Iterable[Planned], of: Callable[[Planned], float]) -> float:
    """The time that passes while a plan is measured, by the seconds `of` each: of a phase that of its longest lane."""
    each_stage = stages(plan)
    return sum(max(sum(map(of, lane.plan)) for lane in phase) for found in each_stage for phase in found)


def starts(plan: Iterable[Planned]) -> int:
    """How many processes are started one after another to measure a plan: lanes start theirs at the same time."""
    return sum(map(len, stages(plan)))
