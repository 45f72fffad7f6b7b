"""Plays for several hosts at once, each in a thread of its own: what one host answers is heard before the others do."""

import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.conduct import answer as answers
from dgxcert.room.conduct.answer import Answer
from dgxcert.room.state import Stage

MOST, MOST_OF_A_STAGE = 8, 3
"""Plays at the same time. With several of a stage, a host that hangs in one delays nobody who comes later."""
CLOSES_S = 30.0
"""How long plays that were ended may take to be gone."""


class Controller(Protocol):
    """What drives the hosts: `room.ansible.playbook.Controller`."""

    def play(
        self,
        play: Path,
        *,
        limit: Sequence[str] = (),
        variables: Mapping[str, Any] = ...,
        on_event: Callable[[HostEvent], None],
    ) -> int:
        """Play for these hosts; returns Ansible's exit code."""

    def end(self) -> None:
        """End all plays that are under way, and everything that they started here."""


@dataclass(frozen=True)
class Heard:
    """How a stage ended on a host."""

    host: str
    stage: Stage
    kind: Literal["ok", "failed", "lost"]
    answer: Answer | None = None
    """The last answer of the agent in it."""
    event: HostEvent | None = None
    """What Ansible said last; None where it said nothing of this host."""
    output: str = ""
    """The standard output of the last task that had any."""


@dataclass
class _Of:
    """What a play has said of one host so far."""

    answer: Answer | None = None
    output: str = ""
    heard: bool = False


@dataclass
class Batch:
    """One play for some hosts."""

    stage: Stage
    hosts: tuple[str, ...]
    last: str
    """The task with which the play has ended on a host."""
    hear: Callable[[Heard], None]
    _hosts: dict[str, _Of] = field(default_factory=dict)

    def take(self, event: HostEvent) -> None:
        """Hear an event: of each host the first failure, or its last task."""
        of = self._hosts.setdefault(event.host, _Of())
        if of.heard or event.host not in self.hosts:
            return
        if event.stdout:
            of.output, of.answer = event.stdout, answers.parse(event.stdout) or of.answer
        if event.kind == "unreachable":
            self._say(event.host, "lost", event)
        elif event.kind == "failed":
            self._say(event.host, "failed", event)
        elif event.kind in ("ok", "skipped") and event.task == self.last:
            self._say(event.host, "ok", event)

    def close(self) -> None:
        """The play has ended: a host of which nothing was heard has failed."""
        for host in self.hosts:
            if not self._hosts.setdefault(host, _Of()).heard:
                self._say(host, "failed", None)

    def _say(self, host: str, kind: Literal["ok", "failed", "lost"], event: HostEvent | None) -> None:
        of = self._hosts[host]
        of.heard = True
        self.hear(Heard(host, self.stage, kind, of.answer, event, of.output))


class Batches:
    """The plays that are under way."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._pool = ThreadPoolExecutor(MOST, thread_name_prefix="play")
        self._running: dict[Future[None], Batch] = {}
        self._ended = False
        self.heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        """What was heard and not yet looked at."""

    def takes(self, stage: Stage) -> bool:
        """Whether another play of a stage can begin now."""
        of_stage = sum(batch.stage is stage for batch in self._running.values())
        return len(self._running) < MOST and of_stage < MOST_OF_A_STAGE

    def start(self, stage: Stage, play: Path, hosts: Sequence[str], variables: Mapping[str, Any]) -> None:
        """Begin a play for some hosts."""
        batch = Batch(stage, tuple(hosts), last_task(play), self.heard.put)
        self._running[self._pool.submit(self._play, batch, play, variables)] = batch

    def _play(self, batch: Batch, play: Path, variables: Mapping[str, Any]) -> None:
        self._controller.play(play, limit=batch.hosts, variables=variables, on_event=batch.take)
        if not self._ended:
            batch.close()

    def collect(self) -> None:
        """Forget the plays that have ended. Raises what kept one from playing."""
        for future in [future for future in self._running if future.done()]:
            del self._running[future]
            future.result()

    def end(self) -> None:
        """End all plays: nothing more is heard of them, and others may begin."""
        self._ended = True
        self._controller.end()
        wait_for(self._running, timeout=CLOSES_S)
        self._running.clear()
        self.heard = queue.SimpleQueue()
        self._ended = False

    def close(self) -> None:
        """End all plays for good."""
        self.end()
        self._pool.shutdown(wait=False, cancel_futures=True)


def last_task(play: Path) -> str:
    """The name of the last task of a play of ours, with which it has ended on a host."""
    *_, last = yaml.safe_load(play.read_text(encoding="utf-8"))[-1]["tasks"]
    while "block" in last:
        last = last["block"][-1]
    return str(last["name"])
