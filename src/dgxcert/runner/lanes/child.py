"""One child of a lane: which requirement it measures, and how long it may."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dgxcert.plan.lanes import Lane
from dgxcert.plan.options import WORKING
from dgxcert.plan.selection import Planned
from dgxcert.record import journal
from dgxcert.runner.lanes.host_share import WHOLE, Share
from dgxcert.runner.launcher import Launcher

INSIDE = "inside"
"""The folder of a run that its children may write: samples that are kept, and pytest-benchmark's own files."""
START_BUDGET_S = 120.0
"""From a child's start to its first requirement, and between two: Python and pytest start, nothing else."""
END_BUDGET_S = 60.0
"""From the last requirement to the child's end: pytest-benchmark writes its file."""


class Child:
    """One pytest process, and which requirement it measures."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        plan: dict[str, Planned],
        stage: str,
        number: int,
        excess: Callable[[], str],
        share: Share = WHOLE,
    ) -> None:
        """`excess` says what it has filled the disk with, or ""; `share` is what it may use of the host."""
        self.process = process
        self.share = share
        self.resident: Callable[[], int] = lambda: 0
        """How many bytes it has in memory, by who started it."""
        self.excess = excess
        self.stage = stage
        self.number = number
        self.works = stage in WORKING
        """Whether it allocates memory. Other children only read the machine, also one that is out of memory."""
        self.current: str | None = None
        self.started_any = False
        self.done: set[str] = set()
        self.stopped = ""
        """Why it ended itself, if it did."""
        self.refused = ""
        """Why what it said was refused, if it was."""
        self._plan = plan
        self.since = self.looked = time.monotonic()
        """Since when its budget counts, and when this process last looked at it."""

    def take(self, event: journal.Event) -> None:
        """Follow what the child says."""
        if isinstance(event, journal.Started):
            self.current, self.started_any = event.key, True
        elif isinstance(event, journal.Finished):
            self.current = None
            self.done.add(event.key)
        elif isinstance(event, journal.Stopped):
            self.stopped = event.reason
        if not isinstance(event, journal.Said):  # a message does not extend a budget: a hung loop can print too
            self.since = time.monotonic()

    @property
    def budget_s(self) -> float:
        """How long its current requirement may take, or its start, or its end."""
        if self.current is not None:
            return self._plan[self.current].budget_s
        return END_BUDGET_S if self.done >= set(self._plan) else START_BUDGET_S

    @property
    def overdue(self) -> bool:
        """Whether it has exceeded that budget."""
        return time.monotonic() - self.since > self.budget_s


class Work(NamedTuple):
    """What one lane measures, and where."""

    stage: str
    phase: int
    launcher: Launcher
    lane: Lane
    share: Share

    @property
    def inside(self) -> Path:
        """The folder that its children may write, in the run's: one of its own beside other lanes."""
        return Path(INSIDE, self.lane.name if self.share.lanes > 1 else "")
