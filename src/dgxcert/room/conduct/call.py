"""One call of `dgxcert room run` or `dgxcert room stop`: hosts, then pairs, then the room as one document."""

import contextlib
import queue
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from rich.console import Console

from dgxcert.console import counted, on_one_line
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite as suites
from dgxcert.record.room.document import PairResult, Room
from dgxcert.record.room.word import Word
from dgxcert.room import folder, live
from dgxcert.room.ansible.events import HostEvent
from dgxcert.room.conduct import pace, pair_rows
from dgxcert.room.conduct.batches import Batches, Controller, Heard
from dgxcert.room.conduct.conductor import Conductor, Explain, Plan, Script, View
from dgxcert.room.conduct.until_done import How, until_done
from dgxcert.room.folder import RoomFolder
from dgxcert.room.inventory import Inventory
from dgxcert.room.options import RoomOptions
from dgxcert.room.state import HostState, Stage
from dgxcert.runner.interrupts import Stop

CLEANED = (Word.VALIDATED, Word.NOT_STARTED, Word.DISK, Word.NO_PYTHON, Word.ARCHITECTURE)
"""The words of hosts that are cleaned: those where nothing works, and nothing waits to be fetched or resumed."""
TICK_S = 0.2
NAMED = 5
IMAGE, SHOWN = "dgxcert image=", 400
NOT_TESTED = "it was stopped before this pair was tested"
LEFT_OUT = "the call left pairs out, by --no-pairs or --detach"

OnEvent = Callable[[HostEvent], None]


class Parts(Protocol):
    """What a call works with; made once its room is known."""

    @property
    def controller(self) -> Controller:
        """What drives the hosts."""

    @property
    def script(self) -> Script:
        """What is played on them."""

    @property
    def explain(self) -> Explain:
        """What Ansible said, in a word."""

    def delivering(self, say: Callable[[str], None]) -> AbstractContextManager[object]:
        """What is done beside the hosts' own way while they are on it, and said by `say`."""

    def test_pairs(self, rows: Sequence[pair_rows.Row], on_event: OnEvent) -> tuple[PairResult, ...]:
        """Test pairs, whose ends were validated."""

    def merge(self, path: Path, now: datetime) -> Room:
        """The room of a folder as one document."""

    def write(self, room: Room, path: Path) -> None:
        """Write the document and its reports."""


@dataclass(frozen=True)
class Call:
    """What was typed."""

    inventory: Inventory
    options: RoomOptions
    results: Path
    at_once: int = 0
    detach: bool = False
    pairs: bool = True
    clean: bool = False
    new: bool = False
    stop: bool = False
    """Whether the newest room of the inventory is stopped, and nothing is begun."""

    def again(self, options: RoomOptions) -> str:
        """The command that goes on with a room of these options."""
        words = ["dgxcert", "room", "run", str(self.inventory.path), *options.words]
        words += [] if self.results == Path("results") else ["--results", str(self.results)]
        return shlex.join(words)


@dataclass(frozen=True)
class Ended:
    """How a call ended."""

    room: Room
    folder: Path
    how: How


def work(call: Call, parts_of: Callable[[RoomFolder, RoomOptions], Parts], console: Console, signals: Stop) -> Ended:
    """Do it all. Raises CannotStart; whatever was begun on the hosts then goes on, and the next call knows it."""
    chosen, options = _room_of(call)
    with chosen.folder.held(), ExitStack() as stack:
        parts = parts_of(chosen.folder, options)
        view = stack.enter_context(live.view(console))
        stack.enter_context(parts.delivering(view.say))
        if chosen.said:
            view.say(chosen.said)
        again = call.again(options)
        plan = Plan(pace.of(options), parts.explain, again, call.at_once, call.detach)
        conducting = Conductor(chosen.folder, call.inventory, parts.controller, parts.script, plan, view)
        conductor = stack.enter_context(conducting)
        how = until_done(conductor, view, signals, again, stopped=call.stop)
        _test_pairs(call, how, chosen.folder.path, parts, conductor.hosts, view, signals)
        if call.clean and how is How.DONE:
            _clean(parts, conductor.hosts, view, signals)
        room = parts.merge(chosen.folder.path, datetime.now(UTC))
        parts.write(room, chosen.folder.path)
    return Ended(room, chosen.folder.path, how)


def _room_of(call: Call) -> tuple[folder.Chosen, RoomOptions]:
    """The room to work on, and the options that it was begun with."""
    if call.stop:
        found = folder.newest(call.results, call.inventory.path)
        if found is None:
            raise CannotStart(
                f"There is no room of {call.inventory.path} in {call.results / folder.ROOMS}.",
                "Look there: ls results/rooms; or begin one: dgxcert room run",
            )
        return folder.Chosen(found, False, f"{found.path} is stopped."), found.about().options
    now, suite = datetime.now(UTC), suites.identity(suites.root())
    left = _has_pairs_left(call.inventory) if call.pairs else None
    chosen = folder.choose(call.results, call.inventory, call.options, suite, now, new=call.new, left=left)
    return chosen, call.options


def _has_pairs_left(inventory: Inventory) -> Callable[[RoomFolder], bool]:
    """Whether a room has pairs that no call has tested."""
    return lambda room: bool(pair_rows.waiting(inventory.pairs, pair_rows.read(room.path)))


def _test_pairs(
    call: Call,
    how: How,
    path: Path,
    parts: Parts,
    hosts: Mapping[str, HostState],
    view: View,
    signals: Stop,
) -> None:
    """Test the pairs that wait, and keep why others were not tested. Ctrl-C ends this alone."""
    known = pair_rows.read(path)
    rows = pair_rows.waiting(call.inventory.pairs, known)
    if call.stop or not rows:
        return
    if not call.pairs or call.detach:
        # Named all the same: what lists no pairs reads as a room that has none, and would be certified as a whole.
        left_out = tuple(PairResult(hosts=row, says=LEFT_OUT) for row in rows)
        pair_rows.write(path, (*(pair for pair in known if pair.results), *left_out))
        return
    no_ends = pair_rows.untested(rows, hosts)
    rows = tuple(row for row in rows if row not in {pair.hosts for pair in no_ends})
    why = NOT_TESTED
    tested: tuple[PairResult, ...] = ()
    if rows and how is How.DONE:
        view.say(f"Testing {counted(len(rows), 'pair')}: {_few(['-'.join(row) for row in rows])}.")
        try:
            with signals.raising(signals.count):
                tested = parts.test_pairs(rows, lambda _: view.tick())
        except KeyboardInterrupt:
            parts.controller.end()
        except CannotStart as error:  # the hosts' results are here, and are shown all the same
            why = str(error)
    done = {pair.hosts for pair in tested}
    others = tuple(PairResult(hosts=row, says=why) for row in rows if row not in done)
    kept = tuple(pair for pair in known if pair.results)
    pair_rows.write(path, (*kept, *tested, *no_ends, *others))


def _clean(parts: Parts, hosts: Mapping[str, HostState], view: View, signals: Stop) -> None:
    """Remove the room's folder from the hosts that need it no more, and say where that did not work, and what stays."""
    names = [name for name, host in hosts.items() if host.word in CLEANED]
    batches, waiting, before = Batches(parts.controller), set(names), signals.count
    images: dict[str, list[str]] = {}
    try:
        if names:
            play, variables = parts.script.play(Stage.CLEANS), parts.script.variables(Stage.CLEANS, names, hosts)
            batches.start(Stage.CLEANS, play, names, variables)
        while waiting and signals.count == before:
            batches.collect()
            with contextlib.suppress(queue.Empty):
                heard = batches.heard.get(timeout=TICK_S)
                waiting.discard(heard.host)
                for sentence in _images_left(heard):
                    images.setdefault(sentence, []).append(heard.host)
                _say_dirty(heard, parts.explain, view)
            view.tick()
    finally:
        batches.close()
    for sentence, there in images.items():
        view.say(f"{_few(there)}: {sentence}")
    if left := [name for name in hosts if name in waiting or name not in names]:
        view.say(f"Not cleaned, since the next call may go on there: {_few(left)}.")


def _few(names: Sequence[str]) -> str:
    return f"{', '.join(names[:NAMED])}{' …' if names[NAMED:] else ''}"


def _images_left(heard: Heard) -> list[str]:
    """What a host says of the images that stay there: see `on_host/loaded_images.py`."""
    lines = [line.partition(IMAGE) for line in heard.output.splitlines()]
    return [on_one_line(said)[:SHOWN] for before, found, said in lines if found and not before]


def _say_dirty(heard: Heard, explain: Explain, view: View) -> None:
    """Name a host that was not cleaned."""
    if heard.kind != "ok":
        said = explain(heard.event)[1] if heard.event else "Ansible said nothing of it."
        view.say(f"{heard.host} was not cleaned: {said}")
