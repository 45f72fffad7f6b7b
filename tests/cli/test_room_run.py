"""`dgxcert room run` and `stop`: what is refused before anything is begun, and how the exit code comes about."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from suites.commands import Result

from dgxcert.cli.exit_code import CannotRun
from dgxcert.judgement.requirement import Tier
from dgxcert.plan.suite import Suite
from dgxcert.record.room.document import Room
from dgxcert.room.conduct import call as calls
from dgxcert.room.conduct.call import Call, Ended
from dgxcert.room.conduct.until_done import How
from dgxcert.room.options import RoomOptions

ROOM = "all: {hosts: {spark-01: {ansible_host: 192.0.2.1}}}\n"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    path = tmp_path / "room.yaml"
    path.write_text(ROOM)
    return path


@pytest.fixture
def conducted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[list[Call], dict[str, Any]]:
    """The calls that were made, each ending as the dictionary says."""
    made: list[Call] = []
    ends: dict[str, Any] = {"how": How.DONE, "exit_code": 0}

    def work(call: Call, *_: object) -> Ended:
        made.append(call)
        now = datetime.now(UTC).isoformat()
        suite = Suite(version="1.0.0", sha256="a" * 64)
        room = Room(name="room", suite=suite, started=now, ended=now, hosts=(), exit_code=ends["exit_code"])
        return Ended(room, tmp_path, ends["how"])

    monkeypatch.setattr(calls, "work", work)
    return made, ends


def test_what_is_typed_is_what_every_host_validates(
    dgxcert: Callable[..., Result], room: Path, conducted: tuple[list[Call], dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "waivers.yaml").write_text("")
    dgxcert(
        "room", "run", room, "--profile", "cpu", "--tier", "quick", "--only", "host, stack", "--waivers",
        "waivers.yaml", "--at-once", 3, "--no-pairs", "--clean",
    )  # fmt: skip
    (call,) = conducted[0]
    waivers = str(tmp_path / "waivers.yaml")
    assert call.options == RoomOptions(profile="cpu", tier=Tier.QUICK, only=("host", "stack"), waivers=waivers)
    assert (call.at_once, call.pairs, call.clean, call.detach, call.new) == (3, False, True, False, False)
    assert [host.name for host in call.inventory.hosts] == ["spark-01"]


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_exit_code_is_that_of_the_room(
    dgxcert: Callable[..., Result], room: Path, conducted: tuple[list[Call], dict[str, Any]], code: int
) -> None:
    conducted[1]["exit_code"] = code
    assert dgxcert("room", "run", room).code == code


def test_hosts_that_were_left_are_a_room_that_did_not_finish(
    dgxcert: Callable[..., Result], room: Path, conducted: tuple[list[Call], dict[str, Any]]
) -> None:
    conducted[1].update(how=How.LEFT, exit_code=2)
    assert dgxcert("room", "run", room).code == CannotRun.CANNOT_START


def test_stop_stops_the_newest_room(
    dgxcert: Callable[..., Result], room: Path, conducted: tuple[list[Call], dict[str, Any]]
) -> None:
    conducted[1].update(how=How.STOPPED, exit_code=2)
    assert dgxcert("room", "stop", room).code == 2
    assert conducted[0][0].stop


def test_detach_leaves_nobody_who_could_begin_the_next(dgxcert: Callable[..., Result], room: Path) -> None:
    dgxcert("room", "run", room, "--detach", "--at-once", 2).require_refused("--at-once needs a controller")


def test_there_must_be_a_room_to_stop(dgxcert: Callable[..., Result], room: Path) -> None:
    dgxcert("room", "stop", room).require_refused("There is no room of")


def test_an_inventory_must_be_there(dgxcert: Callable[..., Result]) -> None:
    dgxcert("room", "run", "nowhere.yaml").require_refused("nowhere.yaml")


def test_the_command_that_goes_on_says_what_was_asked_for(room: Path, tmp_path: Path) -> None:
    from dgxcert.room import inventory

    options = RoomOptions(tier=Tier.QUICK, only=("host",))
    call = Call(inventory.read(room), options, tmp_path / "my results")
    assert call.again(options) == f"dgxcert room run {room} --tier quick --only host --results '{tmp_path}/my results'"
