"""The test of pairs: each pair's cable, then its work; and a failed one's ends once more with other partners."""

import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from dgxcert.outcome import CannotStart, Outcome
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.record import run as runs
from dgxcert.record import run_folders
from dgxcert.record.room import link_answer, pair_answer
from dgxcert.record.room.document import PairResult
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.inventory import Host, Inventory
from dgxcert.room.options import AUTO, RoomOptions
from dgxcert.room.pairs import jobs
from dgxcert.room.pairs.blame import blamed, confirmations
from dgxcert.room.pairs.both_ends import BothEnds, Controller, Ended, Explain
from dgxcert.room.pairs.ends import End, Pair
from dgxcert.room.pairs.judge import judge, not_applicable
from dgxcert.room.pairs.requirements import LINK
from dgxcert.room.pairs.rounds import Row, rounds

FOLDER = "pairs"
AT_ONCE = 8


@dataclass(frozen=True)
class Room:
    """What a test of pairs needs of its room."""

    controller: Controller
    inventory: Inventory
    folder: Path
    options: RoomOptions
    explain: Explain
    on_event: Callable[[HostEvent], None]

    def host(self, name: str) -> Host:
        """A host of the inventory."""
        return next(host for host in self.inventory.hosts if host.name == name)


def test(room: Room, rows: Sequence[Row]) -> tuple[PairResult, ...]:
    """Test pairs whose both ends were validated; a pair that was not tested says why. Ctrl-C stops it on the hosts."""
    results = _tested(room, rows)
    known = {name for row in rows for name in row}
    others = [row for row in room.inventory.pairs if set(row) <= known]
    confirming = _tested(room, confirmations(results, others))
    confirmed = [each.model_copy(update={"confirmation": True}) for each in confirming]
    return (*(blamed(each, confirmed) for each in results), *confirmed)


def _tested(room: Room, rows: Sequence[Row]) -> list[PairResult]:
    """Test pairs in rounds, those of a round at the same time."""
    found: list[PairResult] = []
    stopped = threading.Event()
    for each in rounds(rows):
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pair") as pool:
            try:
                found += pool.map(lambda row: one(room, row, stopped), each)
            except KeyboardInterrupt:
                stopped.set()  # each thread stops what it has begun on its hosts
                room.controller.end()
                raise
    return sorted(found, key=lambda result: rows.index(result.hosts))


def one(room: Room, row: Row, stopped: threading.Event) -> PairResult:
    """Test one pair. Raises KeyboardInterrupt where it is stopped."""
    try:
        pair = prepared(room, row)
    except CannotStart as error:
        return PairResult(hosts=row, says=f"was not tested: {error}")
    excluded = not_applicable(pair)
    if excluded is not None:
        return excluded
    meeting = f"pair-{secrets.token_hex(6)}"
    both = BothEnds(room.controller, room.explain, room.on_event, room.folder / FOLDER, stopped)
    pair = _with_link(both, pair, meeting)
    result = judge(pair)
    if result.results[0].outcome is not Outcome.PASSED:  # nothing works over a cable that is not in order
        return result
    pair = _with_work(both, room, pair, meeting)
    if all(end.work is not None and end.work.stopped is None for end in pair.ends):
        return judge(pair)
    return judge(_seen_again(both, pair, f"{meeting}-after"))


def prepared(room: Room, row: Row) -> Pair:
    """A pair with the hosts and profiles of its ends. Raises CannotStart where the inventory does not say enough."""
    ends = (room.host(name).towards(other) for name, other in (row, row[::-1]))
    first, second = (End(host, _profile(room, host)) for host in ends)
    for end in (first, second):
        link = end.host.link
        if not link.addresses or len(link.addresses) != len(link.ports):
            raise CannotStart(
                f"{end.name} needs `link_address` and `link_port` of the same length in {room.inventory.path}, found "
                f"{len(link.addresses)} and {len(link.ports)}.",
                "Write both, for each half of the port: link_address: [192.168.100.1, 192.168.101.1]",
            )
    if len(first.host.link.addresses) != len(second.host.link.addresses):
        raise CannotStart(
            f"{first.name} has {len(first.host.link.addresses)} addresses on its link, {second.name} has "
            f"{len(second.host.link.addresses)}.",
            "Write as many halves of the port for both.",
        )
    return Pair((first, second))


def _profile(room: Room, host: Host) -> Profile:
    """The profile that a host was validated by: of its newest run, or as it is named. Raises CannotStart."""
    found = run_folders.find(room.folder / host.name)
    if found.folders:
        return runs.load(found.folders[-1].path).profile
    named = room.options.profile_of(host)
    if named == AUTO:
        raise CannotStart(f"{host.name} has no run here, so that its profile is not known.", "Validate it first.")
    return profiles.load(named)


def _with_link(both: BothEnds, pair: Pair, meeting: str) -> Pair:
    """The pair with what both ends say of the cable."""
    todo = [jobs.link(end.host, other.host, meeting) for end, other in pair.directions()]
    ended = both.run(todo)
    return pair.each(lambda _, end: _link_end(end, ended[end.name], meeting))


def _link_end(end: End, ended: Ended, meeting: str) -> End:
    if ended.path is None:
        return replace(end, link=None, silent=ended.silent)
    try:
        answer = link_answer.load(ended.path)
    except CannotStart as error:
        return replace(end, link=None, silent=error.problem)
    if (answer.host, answer.meeting) != (end.name, meeting):
        return replace(end, link=None, silent="its answer is of another test")
    return replace(end, link=answer, silent="")


def _with_work(both: BothEnds, room: Room, pair: Pair, meeting: str) -> Pair:
    """The pair with what both ends say of their work."""
    todo = [
        jobs.work(rank, end.host, other.host, meeting, room.options)
        for rank, (end, other) in enumerate(pair.directions())
    ]
    ended = both.run(todo)
    return pair.each(lambda rank, end: _work_end(rank, end, ended[end.name]))


def _work_end(rank: int, end: End, ended: Ended) -> End:
    if ended.path is None:
        return replace(end, silent=ended.silent)
    try:
        answer = pair_answer.load(ended.path)
    except CannotStart as error:
        return replace(end, silent=error.problem)
    if (answer.host, answer.rank) != (end.name, rank):
        return replace(end, silent="its answer is of another test")
    return replace(end, work=answer)


def _seen_again(both: BothEnds, pair: Pair, meeting: str) -> Pair:
    """The pair with the cable as it is after work that did not come to its end: whether it was pulled meanwhile."""
    again = _with_link(both, pair, meeting)
    if any(end.link is None for end in again.ends):  # an end that is gone says nothing of the cable
        return pair
    by_link = next(each for each in judge(again).results if each.id == LINK.id)
    return again if by_link.outcome is Outcome.FAILED else pair
