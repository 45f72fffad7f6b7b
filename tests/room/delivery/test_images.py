"""The image is built once for each architecture, handed on to the others, and nobody waits for it for ever."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dgxcert.container.builds import Build
from dgxcert.outcome import CannotStart
from dgxcert.record.room.word import Word
from dgxcert.room.ansible.events import HostEvent, Kind
from dgxcert.room.delivery import images, stream
from dgxcert.room.delivery.images import Images
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.on_host.image import Receipt
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState, Stage

RECEIPT = Receipt(
    reference="dgxcert:course", build=Build(id="sha256:1", labels={}, on_base=True), layers=("a",), size_bytes=9
)
NAMES = ("a", "b", "c")


def state(
    name: str, *, engine: str = "28.2", architecture: str = "aarch64", stage: Stage = Stage.DELIVERS
) -> HostState:
    said = f"dgxcert architecture={architecture}\ndgxcert engine={engine}\ndgxcert python=3.12 /usr/bin/python3\n"
    return HostState(name, stage=stage, answers=said)


class Hosts:
    """A controller whose hosts do what they are told, unless they fail at it."""

    def __init__(self) -> None:
        self.worked: list[tuple[str, str]] = []
        self.fails: set[tuple[str, str]] = set()
        self.goes_on = threading.Event()
        self.holds = ""
        self.pushed = "registry.lab/dgxcert:1"  # no stream without ssh

    def play(
        self, play: Path, *, limit: Sequence[str], variables: Mapping[str, Any], on_event: Callable[[HostEvent], None]
    ) -> int:
        (name,) = limit
        verb = variables["work"].split(".")[-1].split("-")[0]
        self.worked.append((name, play.stem if play.stem != "work" else verb))
        if verb == self.holds:
            self.goes_on.wait(10)
        if play.stem == "stop":
            return 0

        def say(kind: Kind, task: str, stdout: str) -> None:
            on_event(HostEvent("", kind, name, task, stdout=stdout))

        if (name, verb) in self.fails:
            say("ok", "works", json.dumps({"state": "ended", "exit": 3, "said": "dgxcert: no space"}))
        else:
            say("ok", "works", json.dumps({"state": "ended", "exit": 0}))
            say("ok", "answers", RECEIPT.model_copy(update={"pushed": self.pushed}).model_dump_json())
        return 0

    def ssh_to(self, host: Host) -> tuple[list[str], dict[str, str]]:
        raise CannotStart(f"{host.name} cannot be reached", "Look.")


class Room:
    """A room whose hosts all wait to begin."""

    def __init__(self, *, build: bool = True) -> None:
        self.controller, self.said = Hosts(), list[str]()
        self.hosts = {name: state(name) for name in NAMES}
        inventory = Inventory(Path("room.yaml"), tuple(Host(name, name, profile="dgx-spark") for name in NAMES))
        options = RoomOptions(build=build)
        self.images = Images(self.controller, inventory, "room", options, lambda _, __: "environment")
        self.images.say = self.said.append

    def until(self, *names: str, asked: Sequence[str] = NAMES) -> None:
        """Ask as the conductor does, until exactly these are ready."""
        end = time.monotonic() + 10
        while (ready := {name for name in asked if self.images.ready(name, self.hosts)}) != set(names):
            assert time.monotonic() < end, (ready, self.said, self.controller.worked)
            time.sleep(0.01)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(images, "ASKED_S", 0.05)
    made = Room()
    with made.images:
        yield made


def test_the_first_of_the_inventory_builds_for_all(room: Room) -> None:
    for name in ("c", "b", "a"):
        room.images.ready(name, room.hosts)
    room.until(*NAMES)
    assert sorted(room.controller.worked) == [("a", "build"), ("b", "receive"), ("c", "receive")]


def test_who_builds_is_not_decided_before_those_before_it_have_answered(room: Room) -> None:
    room.hosts["a"] = HostState("a", stage=Stage.ANSWERS)
    for _ in range(5):
        assert not room.images.ready("b", room.hosts)
    assert room.controller.worked == []
    room.hosts["a"] = replace(room.hosts["a"], stage=Stage.ENDED, word=Word.REFUSED)
    room.until("b", "c", asked=("b", "c"))
    assert sorted(room.controller.worked) == [("b", "build"), ("c", "receive")]


def test_the_next_builds_where_the_first_cannot(room: Room) -> None:
    room.controller.fails = {("a", "build")}
    room.until(*NAMES)
    assert sorted(room.controller.worked) == [("a", "build"), ("b", "build"), ("c", "receive")]
    assert "a could not build the image: no space" in room.said


def test_nobody_waits_once_nobody_can_build(room: Room) -> None:
    room.controller.fails = {(name, "build") for name in NAMES}
    room.until(*NAMES)


def test_who_built_it_begins_after_the_others_have_it(room: Room) -> None:
    room.controller.holds = "receive"
    room.controller.goes_on.clear()
    end = time.monotonic() + 10
    while len([verb for _, verb in room.controller.worked if verb == "receive"]) < 2:
        assert not any(room.images.ready(name, room.hosts) for name in NAMES)
        assert time.monotonic() < end
    assert not room.images.ready("a", room.hosts)
    room.controller.goes_on.set()
    room.until(*NAMES)


def test_a_host_that_does_not_get_it_begins_all_the_same(room: Room) -> None:
    room.controller.fails = {("b", "receive")}
    room.until(*NAMES)
    assert "b did not get the image: no space; it builds its own" in room.said


def test_nothing_is_tried_again_once_nobody_asks(room: Room) -> None:
    room.controller.fails = {("b", "receive"), ("c", "receive")}
    end = time.monotonic() + 10
    while not [verb for _, verb in room.controller.worked if verb == "receive"]:
        for name in NAMES:
            room.images.ready(name, room.hosts)
        assert time.monotonic() < end
    time.sleep(0.5)
    assert len([host for host, verb in room.controller.worked if (host, verb) == ("b", "receive")]) <= 1


def test_each_architecture_has_its_own(room: Room) -> None:
    room.hosts["b"] = state("b", architecture="x86_64")
    room.until(*NAMES)
    assert sorted(room.controller.worked) == [("a", "build"), ("b", "build"), ("c", "receive")]


def test_a_host_without_an_engine_waits_for_nobody(room: Room) -> None:
    room.hosts["b"] = state("b", engine="permission denied while trying to connect to the Docker daemon socket")
    assert room.images.ready("b", room.hosts)
    room.until(*NAMES)
    assert sorted(room.controller.worked) == [("a", "build"), ("c", "receive")]


def test_nothing_is_built_where_that_is_not_wanted() -> None:
    with (made := Room(build=False)).images:
        assert all(made.images.ready(name, made.hosts) for name in NAMES)
    assert made.controller.worked == []


def test_a_stream_passes_what_is_given_and_tells_how_it_ended(tmp_path: Path) -> None:
    shell, env = ["sh", "-c"], {"PATH": "/usr/bin:/bin"}
    pipes = (str(tmp_path / "from"), str(tmp_path / "to"))
    for pipe in pipes:
        Path(pipe).mkdir()
    source, target = (Path(pipe) / "pipe" for pipe in pipes)
    for each in (source, target):
        os.mkfifo(each)
    data, got = os.urandom(3 << 20), list[bytes]()
    threads = [
        threading.Thread(target=source.write_bytes, args=(data,)),
        threading.Thread(target=lambda: got.append(target.read_bytes())),
    ]
    for thread in threads:
        thread.start()
    assert stream.copy(shell, shell, pipes, env, lambda _: None) == len(data)
    for thread in threads:
        thread.join(10)
    assert got == [data]
    failing = ["sh", "-c", "echo it is off >&2; exit 255"]
    with pytest.raises(CannotStart, match=r"after 0.00 GB: it is off"):
        stream.copy(failing, failing, pipes, env, lambda _: None)
