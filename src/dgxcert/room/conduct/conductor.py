"""The conductor: takes every host from its answer to its fetched run, and ends each with a word, whatever happens.

Everything is decided in one thread, from what the plays of other threads have heard. What was decided is in
events.jsonl before it is acted upon, so that a call after `kill -9` knows what this one knew.
"""

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from dgxcert.console import clipped
from dgxcert.record.room.word import Word
from dgxcert.redaction import scrubber
from dgxcert.room import journal, state
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.conduct import ending, hosts_file, job, unpack
from dgxcert.room.conduct.batches import Batches, Controller, Heard
from dgxcert.room.conduct.job import Job
from dgxcert.room.conduct.pace import Pace
from dgxcert.room.folder import RoomFolder
from dgxcert.room.inventory import Inventory
from dgxcert.room.state import HostState, RoomEvent, Stage

TICK_S = 0.1
SHOWN = 200
WRITE_S = 2.0
"""How often hosts.json is written at most."""
STOP_TRIES = 2
STOP_RETRY_S = 3.0

Explain = Callable[[HostEvent], tuple[Word, str, tuple[str, ...]]]


@dataclass(frozen=True)
class Answered:
    """What a host said before anything was begun there."""

    identity: Mapping[str, str]
    """What no two machines share."""
    wrong: ending.Said | None = None
    """Why it cannot be validated."""


class Script(Protocol):
    """What is played in each stage."""

    def play(self, stage: Stage) -> Path:
        """The play of a stage."""

    def variables(self, stage: Stage, names: Sequence[str], states: Mapping[str, HostState]) -> Mapping[str, Any]:
        """The variables of the play for these hosts."""

    def may_begin(self, stage: Stage, host: str, hosts: Mapping[str, HostState]) -> bool:
        """Whether a host need not wait for others with this stage."""

    def archive(self, host: str) -> Path:
        """Where the fetched archive of a host lies."""

    def answered(self, host: str, output: str) -> Answered:
        """What a host said in the stage `answers`."""


class View(Protocol):
    """What is shown while it works."""

    def update(self, host: HostState) -> None:
        """Something is known of a host that was not known before."""

    def say(self, line: str) -> None:
        """Something about all of them."""

    def tick(self) -> None:
        """Time has passed."""


@dataclass(frozen=True)
class Plan:
    """How a room is conducted."""

    pace: Pace
    explain: Explain
    """What Ansible said of a host in a word, a sentence and a remedy."""
    again: str
    """The command that goes on with this room."""
    at_once: int = 0
    """How many hosts may work at the same time; 0 for all."""
    detach: bool = False
    """Whether hosts are left once they work."""


class Conductor:
    """One call's work on the hosts of a room; use it in a `with` statement, and call `step` until it is `done`."""

    def __init__(
        self,
        folder: RoomFolder,
        inventory: Inventory,
        controller: Controller,
        script: Script,
        plan: Plan,
        view: View,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._inventory, self._script, self._plan, self._view = folder, inventory, script, plan, view
        self._clock = clock
        self._batches = Batches(controller)
        self.hosts = folder.hosts(tuple(host.name for host in inventory.hosts))
        self._jobs = {name: Job(job.first(host)) for name, host in self.hosts.items()}
        self._journal = journal.Writer(folder.events)
        self._written_s = float("-inf")
        self._stopping = False
        for host in self.hosts.values():
            view.update(host)

    def __enter__(self) -> "Conductor":
        return self

    def __exit__(self, *_: object) -> None:
        self._batches.close()
        self._journal.__exit__()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return all(each.stage is None for each in self._jobs.values())

    def step(self) -> None:
        """Begin what is due, and hear what has come, for a tenth of a second. Raises CannotWrite, CannotStart."""
        self._begin_due()
        self._hear_all()
        self._batches.collect()
        self._hear_all()
        if self._clock() - self._written_s > WRITE_S:
            self.write_hosts()
        self._view.tick()

    def write_hosts(self) -> None:
        """Write hosts.json as everything is known now."""
        self._written_s = self._clock()
        hosts_file.write(self._folder.path, self._inventory, self.hosts)

    def _begin_due(self) -> None:
        now_s, pace = self._clock(), self._plan.pace
        for stage, names in job.due(self._jobs, now_s, pace.look_s, self._plan.at_once, self._may_begin):
            if not self._batches.takes(stage):
                continue
            for name in names:
                self._jobs[name].busy = True
                if self.hosts[name].stage is not stage:
                    self._record(name, kind="stage", stage=stage)
            self._batches.start(
                stage, self._script.play(stage), names, self._script.variables(stage, names, self.hosts)
            )

    def _may_begin(self, stage: Stage, name: str) -> bool:
        return self._script.may_begin(stage, name, self.hosts)

    # What was heard

    def _hear_all(self) -> None:
        wait_s = TICK_S
        try:
            while True:
                heard = self._batches.heard.get(timeout=wait_s)
                wait_s = 0.0
                self._hear(heard)
        except queue.Empty:
            return

    def _hear(self, heard: Heard) -> None:
        each = self._jobs[heard.host]
        each.busy = False
        match heard.kind:
            case "ok":
                self._went_well(heard, each)
            case _:
                self._went_wrong(heard, each)

    def _went_well(self, heard: Heard, each: Job) -> None:
        match heard.stage:
            case Stage.ANSWERS:
                self._answered(heard, each)
            case Stage.DELIVERS:
                each.go(Stage.BEGINS, self._clock())
            case Stage.BEGINS | Stage.WORKS | Stage.STOPS:
                self._looked(heard, each)
            case Stage.PACKS:
                each.go(Stage.FETCHES, self._clock())
            case Stage.FETCHES:
                self._fetched(heard, each)

    def _answered(self, heard: Heard, each: Job) -> None:
        answered = self._script.answered(heard.host, heard.output)
        self._record(heard.host, kind="said", identity=answered.identity, answers=heard.output)
        if answered.wrong is not None:
            word, said, remedy = answered.wrong
            self._end(heard.host, word, said, *remedy)
        else:
            each.go(Stage.DELIVERS, self._clock())

    def _looked(self, heard: Heard, each: Job) -> None:
        """Act on what the agent of a host has answered."""
        name, answer = heard.host, heard.answer
        if answer is None:
            self._went_wrong(heard, each)
            return
        if answer.state == "none" and heard.stage is Stage.STOPS:
            self._end(name, Word.STOPPED, hosts_file.NOT_BEGUN, f"Go on: {self._plan.again}")
            return
        if answer.state == "none":
            self._end(name, Word.DIED, "What was begun there is no more there.", f"Begin again: {self._plan.again}")
            return
        if not self.hosts[name].begun or heard.stage is Stage.BEGINS:
            self._record(name, kind="begun")
        seen = {"done": answer.done, "total": answer.total, "current": answer.current}
        known = {key: getattr(self.hosts[name], key) for key in seen}
        self._record(name, kind="seen", said=answer.said, left_s=answer.left_s, **seen, written=known != seen)
        if answer.state != "works":
            self._record(name, kind="exit", ending=ending.way(answer), exit=answer.exit, said=answer.said)
            each.go(Stage.PACKS, self._clock())
        elif self._plan.detach and heard.stage is not Stage.STOPS:
            self._end(name, Word.UNDER_WAY, "It works on; the next call looks again.", self._plan.again)
        elif heard.stage is Stage.STOPS:
            self._try_again(heard, each, "its validation goes on")
        else:
            each.tries, each.lost_since_s = 0, None
            each.go(Stage.WORKS, self._clock() + self._plan.pace.next_look_s(answer.left_s))

    def _fetched(self, heard: Heard, each: Job) -> None:
        archive = self._script.archive(heard.host)
        try:
            run = unpack.unpack(archive, self._folder.of_host(heard.host))
        except unpack.BadArchive as bad:
            each.go(Stage.PACKS, self._clock())
            self._try_again(heard, each, str(bad))
            return
        archive.unlink(missing_ok=True)
        self._record(heard.host, kind="fetched", run=run)
        word, said, remedy = ending.of(self.hosts[heard.host], self._plan.again)
        self._end(heard.host, word, said, *remedy)

    # What went wrong

    def _went_wrong(self, heard: Heard, each: Job) -> None:
        """Give it its word, or try again later: never at once where a host that works cannot be reached."""
        word, said, remedy = self._explained(heard)
        if heard.stage is Stage.WORKS:
            self._lost(heard, each, word, said, remedy)
        elif heard.stage in (Stage.PACKS, Stage.FETCHES, Stage.STOPS) or (
            heard.kind == "lost" and heard.stage in (Stage.DELIVERS, Stage.BEGINS)
        ):
            self._try_again(heard, each, said)
        else:
            self._end(heard.host, word, said, *remedy)

    def _explained(self, heard: Heard) -> ending.Said:
        """What Ansible said of a host in a word; of one that Ansible said nothing of, that."""
        if heard.kind == "ok":
            said = f"Its agent gave no answer that can be read: {clipped(heard.output.strip(), SHOWN) or 'nothing'}"
            return Word.NOT_STARTED, said, ()
        if heard.event is None:
            return Word.NOT_STARTED, "Ansible ended, and had said nothing of it.", ()
        return self._plan.explain(heard.event)

    def _lost(self, heard: Heard, each: Job, word: Word, said: str, remedy: tuple[str, ...]) -> None:
        """A host that works cannot be reached, or its agent does not answer: look again, for as long as it may take."""
        now, name = self._clock(), heard.host
        each.tries += 1
        each.lost_since_s = now if each.lost_since_s is None else each.lost_since_s
        self._record(name, kind="lost", said=said)
        silent_s = now - each.lost_since_s
        give_up_s = STOP_RETRY_S if self._stopping else self._plan.pace.give_up_s
        if each.tries < self._plan.pace.tries or silent_s < give_up_s:
            each.go(Stage.WORKS, now + self._plan.pace.next_try_s(each.tries))
            return
        changed = word in (Word.KEY_CHANGED, Word.PASSWORD, Word.SUDO)
        why = f"Looked at {each.tries} times in {silent_s:.0f} s since it was heard of last: {said}"
        self._end(name, word if changed else Word.DIED, why, *remedy, f"Then go on: {self._plan.again}")

    def _try_again(self, heard: Heard, each: Job, said: str) -> None:
        """Try a stage again a little later; after some tries the host gets the word that fits."""
        each.tries += 1
        most = STOP_TRIES if self._stopping else self._plan.pace.tries
        if each.tries < most:
            self._record(heard.host, kind="lost", said=said)
            each.due_s = self._clock() + (STOP_RETRY_S if self._stopping else self._plan.pace.retry_s)
            return
        if heard.stage in (Stage.PACKS, Stage.FETCHES):
            why, again = f"It ended, and could not be fetched: {said}", "Fetch it: "
            self._end(heard.host, Word.UNDER_WAY, why, f"{again}{self._plan.again}")
        elif heard.stage is Stage.STOPS:
            why, again = f"It could not be stopped, and may still work: {said}", "Try again: dgxcert room stop "
            self._end(heard.host, Word.UNDER_WAY, why, f"{again}{self._inventory.path}")
        else:
            word, said, remedy = self._explained(heard)
            self._end(heard.host, word, said, *remedy)

    # Stopping

    def stop(self) -> None:
        """Stop what was begun on the hosts, and fetch what is there; whatever waits is not begun."""
        self._stopping = True
        self._batches.end()
        for name, each in self._jobs.items():
            host, each.busy = self.hosts[name], False
            if each.stage is None:
                continue
            each.tries = 0
            if host.under_way and host.ending is not None:
                each.go(Stage.PACKS, self._clock())
            elif host.under_way or host.stage is Stage.BEGINS:
                each.go(Stage.STOPS, self._clock())
            elif host.word is not None:  # an earlier call has ended it, and this one has not tried it again
                each.go(None, 0.0)
            else:
                self._end(name, Word.STOPPED, hosts_file.NOT_BEGUN, f"Go on: {self._plan.again}")

    def leave(self, why: str) -> None:
        """Leave all hosts as they are, and give a word to each that has none."""
        self._batches.end()
        for name, each in self._jobs.items():
            if each.stage is None:
                continue
            host = self.hosts[name]
            if host.under_way or host.stage is Stage.BEGINS:
                stop = f"Or stop it: dgxcert room stop {self._inventory.path}"
                self._end(name, Word.UNDER_WAY, f"{why} It may still work.", f"Go on: {self._plan.again}", stop)
            else:
                self._end(name, Word.STOPPED, f"{why} {hosts_file.NOT_BEGUN}", f"Go on: {self._plan.again}")

    # What is known

    def _end(self, name: str, word: Word, said: str, *remedy: str) -> None:
        self._jobs[name].go(None, 0.0)
        self._record(name, kind="word", word=word, said=said, remedy=remedy)

    def _record(self, name: str, *, written: bool = True, **fields: Any) -> None:
        """Add an event to what is known, and to events.jsonl unless it only says that all goes on."""
        for field in ("said", "answers"):
            if fields.get(field):
                fields[field] = scrubber.text(fields[field])[: state.LONGEST[field]]
        event = RoomEvent(at=datetime.now(UTC).isoformat(timespec="seconds"), host=name, **fields)
        self.hosts[name] = state.advanced(self.hosts[name], event)
        if written:
            self._journal.write(event)
        self._view.update(self.hosts[name])
