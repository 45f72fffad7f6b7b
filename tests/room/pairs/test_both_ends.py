"""Both ends: jobs are begun, looked at and fetched on played hosts; an end that is lost is given up by name."""

import io
import json
import tarfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dgxcert.record.room.word import Word
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.cables import Link
from dgxcert.room.delivery import commands
from dgxcert.room.inventory import Host
from dgxcert.room.options import RoomOptions
from dgxcert.room.pairs import jobs
from dgxcert.room.pairs.both_ends import BothEnds
from dgxcert.room.pairs.jobs import Job


def host(name: str, number: int) -> Host:
    return Host(name, f"10.0.0.{number}", link=Link((f"192.168.1.{number}", f"192.168.2.{number}"), ("p0", "p1")))


FIRST, SECOND = host("a", 1), host("b", 2)


@dataclass
class PlayedController:
    """Plays on hosts that are named by what goes wrong with them, by play."""

    trouble: dict[tuple[str, str], str] = field(default_factory=dict)
    looks: int = 2
    packed: dict[str, str] | None = field(default_factory=lambda: {"results/answer.json": "{}", "log": "it was here"})
    played: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    on_look: Callable[[], None] = lambda: None

    def play(
        self,
        play: Path,
        *,
        limit: Sequence[str] = (),
        variables: Mapping[str, Any] | None = None,
        on_event: Callable[[HostEvent], None],
    ) -> int:
        assert variables is not None
        assert {"place", "python", "room", "limit_s", "grace_s", "validation_limit_s", "programs"} <= set(variables)
        name = play.stem
        self.played.append((name, tuple(limit)))
        if name == "look":
            self.on_look()
        for each in limit:
            match self.trouble.get((name, each), ""):
                case "failed" | "unreachable" as kind:
                    on_event(HostEvent("", kind, each, name, msg="No route to host"))
                case "mute":
                    on_event(HostEvent("", "ok", each, name))
                case _:
                    on_event(HostEvent("", "ok", each, name, stdout=self._said(name, each, variables)))
        return 0

    def _said(self, name: str, each: str, variables: Mapping[str, Any]) -> str:
        if name == "fetch":
            self._pack(Path(variables["archives"][each]))
        looked = sum(1 for played, limit in self.played if played == "look" and each in limit)
        ended = looked >= self.looks or name == "stop"
        return json.dumps({"state": "ended" if ended else "works", "said": "it was here"})

    def _pack(self, archive: Path) -> None:
        if self.packed is None:
            archive.write_bytes(b"no archive")
            return
        with tarfile.open(archive, "w:gz") as packing:
            for name, text in self.packed.items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                packing.addfile(member, io.BytesIO(text.encode()))

    def end(self) -> None:
        """Nothing is under way."""


def explain(event: HostEvent) -> tuple[Word, str, tuple[str, ...]]:
    return Word.NO_ROUTE, event.msg, ()


def both(controller: PlayedController, folder: Path, **changed: Any) -> BothEnds:
    return BothEnds(controller, explain, lambda _: None, folder / "pairs", **({"every_s": 0.001} | changed))


def of_link() -> list[Job]:
    return [jobs.link(FIRST, SECOND, "pair-1"), jobs.link(SECOND, FIRST, "pair-1")]


def test_both_ends_are_begun_looked_at_fetched_and_cleaned(tmp_path: Path) -> None:
    controller = PlayedController()
    ended = both(controller, tmp_path).run(of_link())
    assert {name: each.silent for name, each in ended.items()} == {"a": "", "b": ""}
    assert ended["a"].path == tmp_path / "pairs" / "pair-1-link-a.json"
    assert [name for name, _ in controller.played] == ["begin", "look", "look", "pack", "fetch", "pair_clean"]


SILENT = {
    ("begin", "b", "failed"): "its test could not be begun: No route to host",
    ("begin", "b", "mute"): "its test could not be begun: its agent gave no answer",
    ("look", "b", "unreachable"): "it cannot be reached since 0 s: No route to host",
    ("pack", "b", "failed"): "its answer could not be fetched: No route to host",
    ("fetch", "b", "unreachable"): "its answer could not be fetched: No route to host",
}


@pytest.mark.parametrize("trouble", SILENT)
def test_an_end_that_is_lost_says_why_and_the_other_one_is_fetched(
    trouble: tuple[str, str, str], tmp_path: Path
) -> None:
    play, name, kind = trouble
    controller = PlayedController({(play, name): kind})
    ended = both(controller, tmp_path, give_up_s=0.0).run(of_link())
    assert ended["b"].silent == SILENT[trouble]
    assert ended["b"].path is None
    assert ended["a"].path is not None


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        ({"log": "starts\ntorch is missing\n"}, "it left no answer: torch is missing"),
        ({}, "it left no answer: it said nothing"),
        ({"results/other.json": "{}", "../answer.json": "{}"}, "it left no answer: it said nothing"),
        (None, "what it packed cannot be unpacked"),
    ],
)
def test_what_is_no_answer_is_silence(packed: dict[str, str] | None, said: str, tmp_path: Path) -> None:
    ended = both(PlayedController(packed=packed), tmp_path).run(of_link())
    assert said in ended["a"].silent
    assert list((tmp_path / "pairs").iterdir()) == []


def test_an_end_that_never_ends_is_given_up_after_its_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgxcert.room.pairs.both_ends.MARGIN_S", 0.0)
    long = [replace(each, limit_s=0.05) for each in of_link()]
    ended = both(PlayedController(looks=10**6), tmp_path).run(long)
    assert all("it did not end within 0 s" in each.silent for each in ended.values())


def test_a_test_that_is_stopped_stops_what_it_has_begun(tmp_path: Path) -> None:
    stopped = threading.Event()
    controller = PlayedController(looks=10**6, on_look=stopped.set)
    with pytest.raises(KeyboardInterrupt):
        both(controller, tmp_path, stopped=stopped).run(of_link())
    assert [name for name, _ in controller.played] == ["begin", "look", "stop", "pair_clean"]
    assert controller.played[2] == ("stop", ("a", "b"))


def test_what_each_end_is_told() -> None:
    first, _ = of_link()
    assert first.name == "pair-1-link"
    assert first.program[:5] == (*commands.LATEST, "pair-link")
    halves = [first.program[at + 1] for at, word in enumerate(first.program) if word == "--half"]
    assert halves == ["p0=192.168.1.1=192.168.1.2", "p1=192.168.2.1=192.168.2.2"]
    assert first.program[-2:] == ("--out", "{place}/results/pair-1-link/answer.json")
    options = RoomOptions(profile="dgx-spark", image="lab:1", base="nvcr.io/x")
    work = jobs.work(1, SECOND, FIRST, "pair-1", options).program
    for option, value in {
        "--rank": "1",
        "--address": "192.168.1.2",
        "--peer": "192.168.1.1",
        "--profile": "dgx-spark",
        "--image": "lab:1",
        "--base": "nvcr.io/x",
        "--host": "b",
        "--peer-host": "a",
        "--meeting": "pair-1",
    }.items():
        assert work[work.index(option) + 1] == value
    assert [work[at + 1] for at, word in enumerate(work) if word == "--interface"] == ["p0", "p1"]


def test_the_agent_kills_an_end_only_after_it_has_had_time_to_end_itself() -> None:
    starts_s = 90.0
    assert starts_s + jobs.WORK_PATIENCE_S + jobs.WORK_LIMIT_S < jobs.WORK_KILLED_S
    assert 2 * jobs.LINK_PATIENCE_S < jobs.LINK_LIMIT_S
