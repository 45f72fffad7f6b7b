"""The folder of a room: which one a call works on, and that two never work on one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dgxcert.judgement.requirement import Tier
from dgxcert.outcome import CannotStart
from dgxcert.plan.suite import Suite
from dgxcert.record.room.word import Word
from dgxcert.room import folder, journal
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import RoomEvent

NOW = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)
SUITE = Suite(version="1.0.0", sha256="a" * 64)
OPTIONS = RoomOptions()


def inventory(path: Path, *names: str, **addresses: str) -> Inventory:
    hosts = [Host(name, addresses.get(name, f"10.0.0.{number}")) for number, name in enumerate(names, 1)]
    return Inventory(path / "spark room.yaml", tuple(hosts))


def ended(chosen: folder.Chosen, at: datetime = NOW, **words: Word | None) -> None:
    """Let hosts end with these words; None means that a validation works there."""
    with journal.Writer(chosen.folder.events) as writer:
        for host, word in words.items():
            writer.write(RoomEvent(at=at.isoformat(), host=host, kind="begun"))
            if word is not None:
                writer.write(RoomEvent(at=at.isoformat(), host=host, kind="word", word=word))


def choose(
    path: Path,
    *names: str,
    options: RoomOptions = OPTIONS,
    suite: Suite = SUITE,
    later_h: float = 1,
    new: bool = False,
) -> folder.Chosen:
    now = NOW + timedelta(hours=later_h)
    return folder.choose(path / "results", inventory(path, *(names or ("a", "b"))), options, suite, now, new=new)


def test_a_room_has_a_folder_of_its_date_and_inventory_and_latest_leads_to_it(tmp_path: Path) -> None:
    chosen = choose(tmp_path, later_h=0)
    assert chosen.folder.path == tmp_path / "results/rooms/2026-12-01T02-00-00Z-spark-room"
    assert (tmp_path / "results/rooms/latest").resolve() == chosen.folder.path
    pinned = folder.known_hosts(tmp_path / "results", tmp_path / "spark room.yaml")
    assert pinned == tmp_path / "results/rooms/known_hosts/spark-room"
    assert chosen.folder.about().addresses == {"a": "10.0.0.1", "b": "10.0.0.2"}


def test_a_room_with_something_left_goes_on(tmp_path: Path) -> None:
    first = choose(tmp_path)
    ended(first, a=Word.VALIDATED, b=Word.REFUSED)
    second = choose(tmp_path)
    assert (second.folder, second.is_new) == (first.folder, False)
    assert "goes on: 1 of 2 are validated" in second.said


def test_a_room_that_is_complete_is_followed_by_another(tmp_path: Path) -> None:
    first = choose(tmp_path)
    ended(first, a=Word.VALIDATED, b=Word.VALIDATED)
    second = choose(tmp_path)
    assert (second.folder.path.name, second.is_new) == (f"{first.folder.name}-2", True)


def test_new_begins_another_room_whatever_there_was(tmp_path: Path) -> None:
    ended(first := choose(tmp_path), a=None)
    assert choose(tmp_path, new=True).folder != first.folder


def test_hosts_that_joined_the_inventory_join_the_room(tmp_path: Path) -> None:
    first = choose(tmp_path)
    ended(first, a=Word.VALIDATED, b=Word.VALIDATED)
    second = choose(tmp_path, "a", "b", "c")
    assert second.folder == first.folder
    assert list(second.folder.about().addresses) == ["a", "b", "c"]


UNLIKE = {
    "options": {"options": RoomOptions(tier=Tier.QUICK)},
    "suite": {"suite": Suite(version="1.0.1", sha256="b" * 64)},
}


@pytest.mark.parametrize("unlike", UNLIKE)
def test_what_was_begun_otherwise_is_refused_while_it_works(tmp_path: Path, unlike: str) -> None:
    ended(choose(tmp_path), a=None, b=Word.UNDER_WAY)
    with pytest.raises(CannotStart, match=rf"under way on a, b, and was begun otherwise: .*{unlike}|tier quick"):
        choose(tmp_path, **UNLIKE[unlike])  # type: ignore[arg-type]


@pytest.mark.parametrize("unlike", UNLIKE)
def test_what_was_begun_otherwise_and_works_no_more_is_followed_by_another(tmp_path: Path, unlike: str) -> None:
    ended(first := choose(tmp_path), a=Word.STOPPED)
    second = choose(tmp_path, **UNLIKE[unlike])  # type: ignore[arg-type]
    assert second.folder != first.folder
    assert "was begun otherwise: " in second.said


def test_an_inventory_that_lost_a_host_is_another(tmp_path: Path) -> None:
    first = choose(tmp_path)
    assert "b no longer in the inventory" in (second := choose(tmp_path, "a")).said
    assert second.folder != first.folder


def test_a_host_at_another_address_is_another(tmp_path: Path) -> None:
    first = choose(tmp_path)
    moved = inventory(tmp_path, "a", "b", b="10.9.9.9")
    second = folder.choose(tmp_path / "results", moved, OPTIONS, SUITE, NOW)
    assert "another address for b" in second.said
    assert second.folder != first.folder


@pytest.mark.parametrize(("word", "goes_on"), [(Word.REFUSED, False), (None, True), (Word.UNDER_WAY, True)])
def test_after_a_day_only_what_may_be_working_goes_on(tmp_path: Path, word: Word | None, goes_on: bool) -> None:
    first = choose(tmp_path)
    ended(first, a=word)
    assert (choose(tmp_path, later_h=30).folder == first.folder) is goes_on


def test_another_inventory_of_the_same_name_has_another_room(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = choose(tmp_path)
    other = folder.choose(tmp_path / "results", inventory(tmp_path / "other", "a", "b"), OPTIONS, SUITE, NOW)
    assert other.folder != first.folder
    assert choose(tmp_path).folder == first.folder


def test_a_folder_without_what_it_was_begun_with_is_no_room(tmp_path: Path) -> None:
    first = choose(tmp_path)
    (first.folder.path / folder.ABOUT).unlink()
    assert choose(tmp_path).folder != first.folder


def test_two_controllers_never_work_on_one_room(tmp_path: Path) -> None:
    chosen = choose(tmp_path)
    with chosen.folder.held(), pytest.raises(CannotStart, match="Another dgxcert works on"), chosen.folder.held():
        pass
    with chosen.folder.held():
        pass


@pytest.mark.parametrize("name", ["../a", "a/b", "pairs", "latest", ".hidden", "room.json", "events.jsonl", "a b", ""])
def test_a_host_that_can_have_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotStart, match="host names"):
        choose(tmp_path, "a", name)


def test_something_else_called_latest_is_left(tmp_path: Path) -> None:
    (tmp_path / "results/rooms/latest").mkdir(parents=True)
    choose(tmp_path)
    assert not (tmp_path / "results/rooms/latest").is_symlink()
