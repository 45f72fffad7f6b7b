"""A call: pairs after hosts, cleaning after pairs, one document at the end, and nothing twice in the next call."""

import contextlib
import io
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from suites.played_room import PACE, PlayedController, PlayedHost, PlayedScript, explain, hurry

from dgxcert.console import PlainConsole
from dgxcert.judgement.requirement import Tier
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.plan.suite import Suite
from dgxcert.record.room.document import PairResult, Room
from dgxcert.record.run import Result
from dgxcert.room.conduct import call as calls
from dgxcert.room.conduct import pace, pair_rows
from dgxcert.room.conduct.call import Call, Ended, OnEvent
from dgxcert.room.conduct.until_done import How
from dgxcert.room.folder import RoomFolder
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.runner import interrupts

SUITE = Suite(version="1.0.0", sha256="a" * 64)


class PlayedParts:
    """The parts of a call, with a document that lists no host."""

    explain = staticmethod(explain)

    def __init__(self, hosts: Sequence[PlayedHost], plays: Path) -> None:
        self.controller, self.script = PlayedController(hosts, plays), PlayedScript(plays)
        self.tested: list[pair_rows.Row] = []
        self.written: list[Room] = []
        self.during_pairs = lambda: None

    def delivering(self, say: Callable[[str], None]) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    def test_pairs(self, rows: Sequence[pair_rows.Row], on_event: OnEvent) -> tuple[PairResult, ...]:
        assert on_event is not None
        self.tested.extend(rows)
        self.during_pairs()
        return tuple(PairResult(hosts=row, says="well", results=(passed(),)) for row in rows)

    def merge(self, path: Path, now: datetime) -> Room:
        moment = now.isoformat()
        return Room(name=path.name, suite=SUITE, started=moment, ended=moment, hosts=(), pairs=pair_rows.read(path))

    def write(self, room: Room, path: Path) -> None:
        assert path.is_dir()
        self.written.append(room)


def passed() -> Result:
    return Result(
        key="PAIR-LINK",
        id="PAIR-LINK",
        group="pairs",
        title="The link is as the lab wrote it",
        why="why",
        tier=Tier.STANDARD,
        wanted=True,
        stage=None,
        outcome=Outcome.PASSED,
        reason="",
        remedy=(),
        evidence=(),
        started=None,
        duration_s=None,
        log=None,
    )


class Lab:
    """A lab that calls the same room again and again."""

    def __init__(self, path: Path, *hosts: PlayedHost, pairs: Sequence[pair_rows.Row] = ()) -> None:
        self.path, self.hosts = path, {host.name: host for host in hosts}
        (path / "plays").mkdir()
        self.parts = PlayedParts(hosts, path / "plays")
        known = tuple(Host(host.name, "10.0.0.1") for host in hosts)
        inventory = Inventory(path / "room.yaml", known, tuple(pairs))
        self.call = Call(inventory, RoomOptions(), path / "results")
        self.output = io.StringIO()

    def __call__(self, **changes: object) -> Ended:
        self.parts.controller.played.clear()
        self.parts.tested.clear()
        console = PlainConsole(file=self.output, width=200)
        with interrupts.held() as signals:
            return calls.work(replace(self.call, **changes), lambda *_: self.parts, console, signals)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr(pace, "of", lambda _: PACE)
    monkeypatch.setattr("dgxcert.plan.suite.identity", lambda _: SUITE)


def test_pairs_are_tested_after_their_hosts_and_once(tmp_path: Path) -> None:
    lab = Lab(tmp_path, PlayedHost("a"), PlayedHost("b"), PlayedHost("c", exit=3), pairs=[("a", "b"), ("b", "c")])
    ended = lab()
    assert ended.how is How.DONE
    assert lab.parts.tested == [("a", "b")]
    assert [(pair.hosts, pair.says) for pair in ended.room.pairs] == [
        (("a", "b"), "well"),
        (("b", "c"), "c was not validated: could not start"),
    ]
    lab.hosts["c"].exit, lab.hosts["c"].state = 0, "none"
    again = lab()
    assert (again.folder, lab.parts.tested) == (ended.folder, [("b", "c")])
    assert [pair.says for pair in again.room.pairs] == ["well", "well"]


def test_pairs_that_were_interrupted_are_tested_by_the_next_call(tmp_path: Path) -> None:
    lab = Lab(tmp_path, PlayedHost("a"), PlayedHost("b"), pairs=[("a", "b")])
    lab.parts.during_pairs = lambda: signal.raise_signal(signal.SIGINT)
    ended = lab()
    assert [pair.says for pair in ended.room.pairs] == [calls.NOT_TESTED]
    lab.parts.during_pairs = lambda: None
    again = lab()
    assert again.folder == ended.folder
    assert lab.parts.controller.played == []
    assert [pair.says for pair in again.room.pairs] == ["well"]


def test_pairs_that_cannot_be_tested_cost_no_host_its_result(tmp_path: Path) -> None:
    def refuse() -> None:
        raise CannotStart("torch is missing.")

    lab = Lab(tmp_path, PlayedHost("a"), PlayedHost("b"), pairs=[("a", "b")])
    lab.parts.during_pairs = refuse
    assert [pair.says for pair in lab().room.pairs] == ["torch is missing."]


def test_without_pairs_none_is_tested_and_the_room_is_complete(tmp_path: Path) -> None:
    lab = Lab(tmp_path, PlayedHost("a"), PlayedHost("b"), pairs=[("a", "b")])
    first = lab(pairs=False)
    assert lab.parts.tested == []
    assert lab(pairs=False).folder != first.folder


@pytest.mark.parametrize("left_out", [{"pairs": False}, {"detach": True}])
def test_pairs_that_were_left_out_are_named_and_tested_by_a_call_with_pairs(
    tmp_path: Path, left_out: dict[str, bool]
) -> None:
    lab = Lab(tmp_path, PlayedHost("a"), PlayedHost("b"), pairs=[("a", "b")])
    first = lab(**left_out)
    assert [(pair.hosts, pair.outcome, pair.says) for pair in first.room.pairs] == [
        (("a", "b"), Outcome.INCONCLUSIVE, calls.LEFT_OUT)
    ]
    again = lab()
    assert (again.folder, [pair.says for pair in again.room.pairs]) == (first.folder, ["well"])


def test_what_is_detached_tests_no_pair_and_cleans_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path, PlayedHost("a"), PlayedHost("b"), pairs=[("a", "b")])
    lab(detach=True, clean=True)
    assert lab.parts.tested == []
    assert "clean" not in dict(lab.parts.controller.played)


def test_cleaning_spares_what_the_next_call_needs(tmp_path: Path) -> None:
    away = {"look": ["lost"] * 99}
    lab = Lab(tmp_path, PlayedHost("a"), PlayedHost("b", trouble=away), PlayedHost("c", trouble={"clean": ["failed"]}))
    lab(clean=True)
    assert lab.parts.controller.played[-1] == ("clean", ("a", "c"))
    assert "c was not cleaned: it refuses" in lab.output.getvalue()
    assert "Not cleaned, since the next call may go on there: b." in lab.output.getvalue()


def test_images_that_stay_on_hosts_are_named_once_for_all_of_them(tmp_path: Path) -> None:
    kept = "\ndgxcert image=image dgxcert:course (21.0 GB) stays"
    lab = Lab(tmp_path, *(PlayedHost(name, prints={"clean": kept}) for name in "ab"), PlayedHost("c"))
    lab(clean=True)
    assert re.sub(r"\s+", " ", lab.output.getvalue()).count("a, b: image dgxcert:course (21.0 GB) stays") == 1


def test_ctrl_c_while_cleaning_does_not_wait_for_a_host_that_hangs(tmp_path: Path) -> None:
    lab = Lab(tmp_path, PlayedHost("a", trouble={"clean": ["hang"]}))
    timer = threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT))
    began = time.monotonic()
    with interrupts.held():
        timer.start()
        lab(clean=True)
        timer.join()
    assert time.monotonic() - began < 15
    assert lab.parts.written


def test_a_room_is_stopped_with_the_options_that_it_was_begun_with(tmp_path: Path) -> None:
    lab = Lab(tmp_path, PlayedHost("a", looks=1000))
    first = lab(detach=True, options=RoomOptions(profile="cpu"))
    ended = lab(stop=True)
    assert (ended.folder, ended.how, lab.hosts["a"].state) == (first.folder, How.STOPPED, "stopped")


def test_there_must_be_a_room_to_stop(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="There is no room of"):
        Lab(tmp_path, PlayedHost("a"))(stop=True)


def test_two_controllers_do_not_work_on_one_room(tmp_path: Path) -> None:
    lab = Lab(tmp_path, PlayedHost("a", looks=1000))
    first = lab(detach=True)
    with RoomFolder(first.folder).held(), pytest.raises(CannotStart, match="Another dgxcert works on"):
        lab()


@pytest.mark.parametrize("content", ["", "[{", '[{"hosts": ["a"]}]'])
def test_a_torn_list_of_pairs_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs/pairs.json").write_text(content)
    assert pair_rows.read(tmp_path) == ()
