"""The image of a room: built once for each architecture, on the first host that answers, and handed on to the others.

Every host that gets it proves it: see `on_host/image.py`. One that does not get it builds its own when it begins, so
that nothing here decides what is certified.
"""

import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.room import answers
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.ansible.playbook import play_of
from dgxcert.room.answers import Answers
from dgxcert.room.check import PLACE
from dgxcert.room.conduct import answer as agent
from dgxcert.room.delivery import commands, stream
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.on_host.image import Receipt, Request
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState, Stage

AT_ONCE = 4
TRIES = 2
BUILD_S, HAND_ON_S = 3 * 3600, 3 * 3600
EVERY_S, ASK_S = 3, 60
ASKED_S = 3.0
"""Where nobody has asked for so long whether a host is ready, all was stopped: nothing is tried again."""
EARLY = (Stage.WAITS, Stage.ANSWERS)
LATE = (Stage.WORKS, Stage.PACKS, Stage.FETCHES, Stage.STOPS, Stage.ENDED)


class Controller(Protocol):
    """What drives the hosts: `room.ansible.playbook.Controller`."""

    def play(
        self,
        play: Path,
        *,
        limit: Any = ...,
        variables: Any = ...,
        on_event: Callable[[HostEvent], None],
    ) -> int:
        """Run a play."""

    def ssh_to(self, host: Host) -> tuple[list[str], dict[str, str]]:
        """The command line of ssh to a host, and its environment."""


@dataclass
class Group:
    """The hosts of one architecture."""

    builder: str = ""
    building: "Future[Receipt] | None" = None
    receipt: Receipt | None = None
    failed: set[str] = field(default_factory=set)
    handed: dict[str, "Future[None]"] = field(default_factory=dict)


class Images:
    """Brings the image to the hosts that need it; use it in a `with` statement, which ends what is under way."""

    def __init__(
        self,
        controller: Controller,
        inventory: Inventory,
        room: str,
        options: RoomOptions,
        environment: Callable[[Host, Answers], str],
    ) -> None:
        self._controller, self._room, self._options, self._environment = controller, room, options, environment
        self._hosts = {host.name: host for host in inventory.hosts}
        self._groups: dict[str, Group] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE + 2, thread_name_prefix="image")
        self._slots = threading.Semaphore(AT_ONCE)
        self._ending = threading.Event()
        self._asked_s = time.monotonic()
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.say: Callable[[str], None] = lambda _: None
        """Where its progress is said, by the thread that asks `ready`."""

    def __enter__(self) -> "Images":
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._flush()

    def ready(self, name: str, hosts: Mapping[str, HostState]) -> bool:
        """Whether a host, to which all else was delivered, has its image or is not to wait for it.

        Who has built it begins last: giving it to others would disturb what is measured there.
        """
        self._asked_s = time.monotonic()
        ready = self._is_ready(name, hosts)
        self._flush()
        return ready

    def _is_ready(self, name: str, hosts: Mapping[str, HostState]) -> bool:
        said = answers.parse(hosts[name].answers)
        if not self._needs(name, said):
            return True
        group = self._groups.setdefault(said.architecture, Group())
        if group.receipt is None and group.building is None:
            self._choose(group, said.architecture, name, hosts)
        if group.building is not None and group.building.done():
            self._take(group)
        if name in group.failed:
            return True
        if name == group.builder:
            return group.receipt is not None and not self._waiting(group, said.architecture, hosts)
        if group.receipt is None:
            return False
        if name not in group.handed:
            group.handed[name] = self._pool.submit(self._hand_on, name, said, group.builder, group.receipt, hosts)
        return group.handed[name].done()

    def _waiting(self, group: Group, architecture: str, hosts: Mapping[str, HostState]) -> bool:
        """Whether a host is on its way that will want the image."""
        for name, state in hosts.items():
            done = name in group.handed and group.handed[name].done()
            if name in {group.builder, *group.failed} or done or state.word is not None or state.stage in LATE:
                continue
            said = answers.parse(state.answers)
            if state.stage in EARLY or (said.architecture == architecture and self._needs(name, said)):
                return True
        return False

    def _needs(self, name: str, said: Answers) -> bool:
        """Whether a host works in the container, and has an engine that answers: else its own checks say that."""
        docker = commands.runs_in(self._hosts[name], self._options) is Runtime.DOCKER
        return docker and said.has_engine and self._options.build

    def _choose(self, group: Group, architecture: str, name: str, hosts: Mapping[str, HostState]) -> None:
        """Have the first host of the inventory build that can; the same one whoever answers first."""
        for each in self._hosts:
            state = hosts[each]
            if state.word is not None or state.stage in LATE or each in group.failed:
                continue
            if state.stage in EARLY:
                return
            said = answers.parse(state.answers)
            if said.architecture == architecture and self._needs(each, said):
                if each == name:  # it has been delivered to: others wait for it
                    group.builder = name
                    self._said.put(f"{name} builds the image for all hosts with {architecture}.")
                    group.building = self._pool.submit(self._build, name, said)
                return

    def _take(self, group: Group) -> None:
        """Hear how the build has ended."""
        building, group.building = group.building, None
        try:
            if building is not None:
                group.receipt = building.result()
                self._said.put(f"{group.builder} has the image, {group.receipt.size_bytes / 1e9:.1f} GB.")
        except (CannotStart, ValidationError) as error:
            group.failed.add(group.builder)
            problem = error.problem if isinstance(error, CannotStart) else "its receipt cannot be read"
            self._said.put(f"{group.builder} could not build the image: {problem}")
            group.builder = ""

    def _build(self, name: str, said: Answers) -> Receipt:
        options = self._options
        request = Request(stack=options.stack, reference=options.image, base=options.base, registry=options.registry)
        return Receipt.model_validate_json(self._work(name, said, "build", request, BUILD_S))

    def _hand_on(
        self, name: str, said: Answers, builder: str, receipt: Receipt, hosts: Mapping[str, HostState]
    ) -> None:
        """Hand the image on to a host; what keeps it from that is said, and the host then builds its own."""
        giver = answers.parse(hosts[builder].answers)
        with self._slots:
            for number in range(TRIES):
                if self._ending.is_set() or time.monotonic() - self._asked_s > ASKED_S:
                    return
                try:
                    self._try(name, said, builder, giver, receipt)
                    self._said.put(f"{name} has the image.")
                    return
                except CannotStart as error:
                    again = "; trying again" if number + 1 < TRIES else "; it builds its own"
                    self._said.put(f"{name} did not get the image: {error.problem}{again}")
                    self._ending.wait(2 * ASKED_S)

    def _try(self, name: str, said: Answers, builder: str, giver: Answers, receipt: Receipt) -> None:
        pipes = (f"/tmp/dgxcert-{secrets.token_hex(16)}", f"/tmp/dgxcert-{secrets.token_hex(16)}")  # noqa: S108
        receiving = Request(pipe=pipes[1], receipt=receipt)
        if receipt.pushed:
            self._work(name, said, "receive", receiving, HAND_ON_S)
            return
        with ThreadPoolExecutor(2) as both:
            give = both.submit(self._work, builder, giver, "give", Request(pipe=pipes[0], receipt=receipt), HAND_ON_S)
            receive = both.submit(self._work, name, said, "receive", receiving, HAND_ON_S)
            problem = self._stream(builder, name, pipes, receive)
            ended = [future.exception() for future in (receive, give)]
        if ended[0] is not None or (problem and not receive.done()):
            raise CannotStart(str(ended[0] or problem), "Call it again.")

    def _stream(self, builder: str, name: str, pipes: tuple[str, str], receive: "Future[str]") -> str:
        """Why nothing was streamed, or ""; a host that has the image already needs nothing."""

        def seen(count: int) -> None:
            self._said.put(f"{name} gets the image: {count / 1e9:.1f} GB.")

        (giver, env), (taker, _) = (self._controller.ssh_to(self._hosts[each]) for each in (builder, name))
        try:
            stream.copy(giver, taker, pipes, env, seen)
        except CannotStart as error:
            return "" if receive.done() and receive.exception() is None else error.problem
        return ""

    def _work(self, name: str, said: Answers, verb: str, request: Request, limit_s: int) -> str:
        """Have a host do something, and wait; returns its answer. Raises CannotStart with its last words."""
        host, work = self._hosts[name], f"{self._room}.{verb}-{secrets.token_hex(4)}"
        python = commands.program(self._environment(host, said))[0]
        program = [python, "-P", "-m", "dgxcert.room.on_host.image", verb, request.model_dump_json()]
        shared = {"place": PLACE, "python": f"{PLACE}/python", "room": work, "work": work, "limit_s": ASK_S}
        variables = {**shared, "work_s": limit_s, "every_s": EVERY_S, "programs": {name: program}}
        heard: list[HostEvent] = []
        self._controller.play(play_of("work"), limit=[name], variables=variables, on_event=heard.append)
        last = next((event for event in reversed(heard) if event.kind in ("ok", "failed", "unreachable")), None)
        if last is not None and last.kind == "ok" and last.task == "answers":
            return next(line for line in reversed(last.stdout.splitlines()) if line.startswith("{"))
        seen = agent.parse(last.stdout) if last is not None else None
        if seen is None or seen.state == "works":  # it was ended here, or cannot be reached
            stopping = {**shared, "grace_s": 10}
            self._controller.play(play_of("stop"), limit=[name], variables=stopping, on_event=lambda _: None)
        why = seen.said if seen is not None else (last.msg or last.stderr)[-300:] if last is not None else "ended"
        raise CannotStart(why.removeprefix("dgxcert: ").strip() or "it said nothing", "Look there.")

    def _flush(self) -> None:
        while not self._said.empty():
            self.say(self._said.get())
