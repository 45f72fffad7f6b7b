"""A room that is played: a controller whose hosts are objects, each with an agent that does what the real one does.

A play is heard as Ansible is: of every host its tasks; a host that hangs keeps the play open while the others go on.
"""

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dgxcert.plan.suite import Suite
from dgxcert.record.room.word import Word
from dgxcert.room import folder
from dgxcert.room.ansible.events import HostEvent, Kind
from dgxcert.room.conduct import conductor, job
from dgxcert.room.conduct.conductor import Answered, Conductor, Plan
from dgxcert.room.conduct.pace import Pace
from dgxcert.room.folder import RoomFolder
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState, Stage

PLAYS = {
    Stage.ANSWERS: "answers",
    Stage.DELIVERS: "deliver",
    Stage.BEGINS: "begin",
    Stage.WORKS: "look",
    Stage.PACKS: "pack",
    Stage.FETCHES: "fetch",
    Stage.STOPS: "stop",
    Stage.CLEANS: "clean",
}
RUN = "2026-12-01T02-00-00Z-played"


@dataclass
class PlayedHost:
    """A host: what its agent knows, and what goes wrong with it."""

    name: str
    looks: int = 3
    """After how many looks its validation has ended."""
    exit: int = 0
    said: str = ""
    trouble: dict[str, list[str]] = field(default_factory=dict)
    """By play, what happens the next times: `lost`, `failed`, `hang`, `mute`, or `well`; then all goes well."""
    prints: dict[str, str] = field(default_factory=dict)
    """By play, what it prints after the agent's answer."""
    state: str = "none"
    begun: int = 0
    """How often a validation began from nothing; a resumed one counts in `resumed`."""
    resumed: int = 0
    done: int = 0
    packed: bool = True
    """Whether a run lies in its archive."""

    def answer(self, play: str) -> str:
        """What the agent says when it is asked by this play."""
        match play:
            case "begin":
                self._begin()
            case "look" if self.state == "works":
                self.done += 1
                self.state = "ended" if self.done >= self.looks else "works"
            case "stop" if self.state == "works":
                self.state = "stopped"
        ended = self.state == "ended"
        said = {"state": self.state, "exit": self.exit if ended else None, "done": self.done, "total": self.looks}
        said |= {"current": None if ended else "GPU-XID", "left_s": None, "said": self.said}
        return json.dumps(said) + self.prints.get(play, "")

    def _begin(self) -> None:
        if self.state == "none":
            self.begun += 1
        elif self.state in ("stopped", "died"):
            self.resumed += 1
        self.state = "works" if self.state != "ended" else "ended"


class PlayedController:
    """Plays on the hosts, as `batches.Controller` says."""

    def __init__(self, hosts: Sequence[PlayedHost], archives: Path) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.archives = archives
        self.played: list[tuple[str, tuple[str, ...]]] = []
        self.working_at_once = 0
        self._let_go = threading.Event()

    def play(
        self,
        play: Path,
        *,
        limit: Sequence[str] = (),
        variables: Mapping[str, Any] | None = None,
        on_event: Callable[[HostEvent], None],
    ) -> int:
        """Play for these hosts, each in a thread of its own."""
        assert variables is not None
        self.played.append((play.stem, tuple(limit)))
        let_go = self._let_go
        with ThreadPoolExecutor(len(limit)) as pool:
            for name in limit:
                pool.submit(self._on, self.hosts[name], play.stem, on_event, let_go)
        return 0

    def end(self) -> None:
        """Let everything go that hangs."""
        self._let_go.set()
        self._let_go = threading.Event()

    def _on(self, host: PlayedHost, play: str, on_event: Callable[[HostEvent], None], let_go: threading.Event) -> None:
        def say(kind: Kind, task: str, stdout: str = "", msg: str = "") -> None:
            on_event(HostEvent("2026-12-01T02:00:00+00:00", kind, host.name, task, stdout=stdout, msg=msg))

        trouble = host.trouble.get(play) or ["well"]
        say("ok", "reach")
        match trouble.pop(0):
            case "lost":
                say("unreachable", play, msg="No route to host")
            case "failed":
                say("failed", play, msg="it refuses")
            case "hang":
                let_go.wait(20)
            case "mute":
                say("ok", play)
            case "well":
                if play == "fetch":
                    self._pack(host)
                say("ok", play, host.answer(play))
        working = sum(each.state == "works" for each in self.hosts.values())
        self.working_at_once = max(self.working_at_once, working)

    def _pack(self, host: PlayedHost) -> None:
        with tarfile.open(self.archives / f"{host.name}.tgz", "w:gz") as archive:
            files = {f"results/{RUN}/run.json": "{}"} if host.packed and host.exit != 3 else {}
            for name, text in {**files, "log": "the output"}.items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))


class PlayedScript:
    """The plays, as files of two tasks each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for stage, name in PLAYS.items():
            tasks = [{"name": "reach"}, {"name": name}]
            (folder / f"{name}.yml").write_text(json.dumps([{"hosts": "all", "tasks": tasks}]))
            assert self.play(stage).exists()

    def play(self, stage: Stage) -> Path:
        return self.folder / f"{PLAYS[stage]}.yml"

    def variables(self, stage: Stage, names: Sequence[str], states: Mapping[str, HostState]) -> Mapping[str, Any]:
        assert set(names) <= set(states)
        return {"stage": stage}

    def may_begin(self, stage: Stage, host: str, hosts: Mapping[str, HostState]) -> bool:
        return bool(stage and host in hosts)

    def archive(self, host: str) -> Path:
        return self.folder / f"{host}.tgz"

    def answered(self, host: str, output: str) -> Answered:
        assert host
        return Answered({"machine-id": str(len(output))})


class Heard:
    """A view that keeps what it is shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.hosts: list[HostState] = []

    def update(self, host: HostState) -> None:
        self.hosts.append(host)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def tick(self) -> None:
        """Nothing is drawn."""


def explain(event: HostEvent) -> tuple[Word, str, tuple[str, ...]]:
    """As `room.words.explain` does, for what this room plays."""
    word = Word.NO_ROUTE if event.kind == "unreachable" else Word.NOT_STARTED
    return word, event.msg, ("Look at it.",)


PACE = Pace(look_s=0.05, give_up_s=0.3, retry_s=0.05)
LIMIT_S = 20


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything take a fiftieth of its time."""
    for module, name in ((job, "GATHER_S"), (job, "GATHER_AT_MOST_S")):
        monkeypatch.setattr(module, name, 0.02)
    monkeypatch.setattr(conductor, "TICK_S", 0.01)
    monkeypatch.setattr(conductor, "STOP_RETRY_S", 0.05)


class PlayedRoom:
    """A room that is played, called as often as a test wants."""

    def __init__(self, path: Path, *hosts: PlayedHost) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.path, self.view = path, Heard()
        (path / "plays").mkdir()
        self.controller = PlayedController(hosts, path / "plays")
        self.folder = self._folder()

    def _folder(self) -> RoomFolder:
        suite = Suite(version="1.0.0", sha256="a" * 64)
        now = datetime.now(UTC)
        return folder.choose(self.path / "results", self.inventory, RoomOptions(), suite, now).folder

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.path / "room.yaml", tuple(Host(name, "10.0.0.1") for name in self.hosts))

    def conductor(self, *, at_once: int = 0, detach: bool = False) -> Conductor:
        plan = Plan(PACE, explain, "dgxcert room run room.yaml", at_once, detach)
        script = PlayedScript(self.path / "plays")
        return Conductor(self.folder, self.inventory, self.controller, script, plan, self.view)

    def call(
        self,
        meanwhile: Callable[[Conductor], bool] = lambda _: False,
        *,
        at_once: int = 0,
        detach: bool = False,
    ) -> dict[str, HostState]:
        """Conduct until all is done, or `meanwhile` returns True."""
        self.controller.played.clear()
        end = time.monotonic() + LIMIT_S
        with self.conductor(at_once=at_once, detach=detach) as conductor:
            while not conductor.done and not meanwhile(conductor):
                assert time.monotonic() < end, self.controller.played
                conductor.step()
            conductor.write_hosts()
            return conductor.hosts

    def plays(self, host: str) -> list[str]:
        """What was played on a host in the last call."""
        return [name for name, hosts in self.controller.played if host in hosts]

    def words(self) -> dict[str, str]:
        """As hosts.json has them."""
        return {row["name"]: row["word"] for row in json.loads((self.folder.path / "hosts.json").read_text())}
