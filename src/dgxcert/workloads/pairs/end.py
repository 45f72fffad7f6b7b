"""One end of a pair, from outside: starts its program, ends it in time whatever happens, and puts its answer together.

What the program left is read as far as it came: an end that was killed in the middle keeps what it had measured, and
says at which phase it was.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from dgxcert import command
from dgxcert.console import on_one_line
from dgxcert.container import pair_service
from dgxcert.files import untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.machine.image import Image
from dgxcert.plan import suite
from dgxcert.probes.links.pair import counters, facts
from dgxcert.record.room.pair_answer import PairAnswer, Stopped, Took, Training
from dgxcert.workloads.distributed import ending, phase
from dgxcert.workloads.distributed.task import RankFiles
from dgxcert.workloads.pairs import collectives, program
from dgxcert.workloads.pairs.order import OPERATIONS, Order
from dgxcert.workloads.pairs.program import Said

START_S = 90.0
"""Starting a container and loading torch from a slow disk, beside meeting the other end and the work itself."""
GRACE_S = 10.0
LOG = "program.log"
MOST_OF_LOG = 64 * MIB
SHOWN = 300


@dataclass(frozen=True)
class Place:
    """Where the program of one end runs: in a container of `image`, or natively without one."""

    image: Image | None = None
    limits: Mapping[str, str] | None = None
    """Variables of compose.yaml: `container.limits`."""

    @property
    def runtime(self) -> str:
        """What an answer calls it."""
        return "container" if self.image else "native"


def run(order: Order, folder: Path, place: Place) -> PairAnswer:
    """Do the work of one end in a private, empty folder; returns its answer, which says also what did not work.

    No process is left when it returns or raises, and none outlives this process.
    """
    began, before = _now(), counters.read()
    known = facts.read(order.interfaces)
    order.write(folder)
    why = _work(order, folder, place)
    ended_s = time.monotonic()
    said = _said(folder)
    answer = PairAnswer(
        rank=order.rank,
        host=order.host,
        peer_host=order.peer_host,
        address=order.address,
        peer=order.peer,
        began=began,
        ended=_now(),
        plan=order.plan,
        runtime=place.runtime,
        image=place.image.id if place.image else "",
        versions=said.versions,
        peer_versions=said.peer_versions,
        facts=known,
        before=before,
        after=counters.read(),
        environment=said.environment,
        took=_took(folder, order, ended_s),
        stopped=said.stopped or _unsaid(folder, order, said, why),
    )
    return _with_work(answer, folder, order)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _work(order: Order, folder: Path, place: Place) -> str:
    """Run the program to its end or to its limit; how it ended, where that was not by itself and with 0."""
    limit_s = START_S + order.patience_s + order.limit_s
    name = f"dgxcert-pair-{uuid4().hex[:12]}"
    args = [sys.executable, "-P", "-m", "dgxcert", "pair-work", str(folder)]
    environment = suite.environment()
    if place.image is not None:
        args, environment = pair_service.client(name, place.image.id, order.device.kind, folder, place.limits or {})
    with (folder / LOG).open("wb") as output:
        process = command.start(args, output=output, cwd=folder, env=environment, tied=True)
    try:
        in_time = command.ends(process, limit_s)
    finally:
        if place.image is not None:
            pair_service.remove(name)  # first: killing the compose client leaves its container running
        command.end_group(process, GRACE_S)
        if process.stdin is not None:
            process.stdin.close()
    if not in_time:
        return f"this end did not end within {limit_s:.0f} s and was killed"
    return f"the program of this end ended with {process.returncode}" if process.returncode else ""


def _said(folder: Path) -> Said:
    """What the program said; nothing where it was cut off."""
    try:
        return Said.model_validate_json(_read(folder / program.SAID))
    except ValidationError:
        return Said()


def _unsaid(folder: Path, order: Order, said: Said, why: str) -> Stopped | None:
    """Why the work is not done where the program itself does not say it."""
    if said.done:
        return None
    lines = [line.strip() for line in _read(folder / LOG).splitlines() if line.strip()]
    printed = f"; it printed: {on_one_line(lines[-1])[-SHOWN:]}" if lines else ""
    return Stopped(
        phase=program.current(folder, order),
        kind="inconclusive",
        problem=f"{why or 'the program of this end ended without a word'}{printed}",
        remedy=(ending.LOOK, "Test the pair again."),
    )


def _with_work(answer: PairAnswer, folder: Path, order: Order) -> PairAnswer:
    """The answer with what its rank has done, as far as that came; the last job of one that ended badly is in doubt."""
    files = RankFiles(folder / program.RANKS, order.rank)
    try:
        done = ending.done(_read(files.done))
        jobs = 2 + len(OPERATIONS)
        done = done[: jobs - (answer.stopped is not None)]
        timed = zip(OPERATIONS, done[1 : 1 + len(OPERATIONS)], strict=False)
        update: dict[str, Any] = {
            "exactness": collectives.exactness(done[0]) if done else None,
            "speeds": tuple(collectives.speed(operation, said) for operation, said in timed),
            "training": Training.model_validate(done[-1]) if len(done) == jobs else None,
            "nccl": collectives.nccl(_read(files.nccl)) if order.plan.backend == "nccl" else None,
        }
    except (ValueError, KeyError, TypeError) as error:
        problem = f"what its rank has said is no answer: {on_one_line(str(error))[:SHOWN]}"
        stopped = Stopped(phase="reading what the rank said", kind="inconclusive", problem=problem)
        return answer.model_copy(update={"stopped": answer.stopped or stopped})
    return answer.model_copy(update=update)


def _took(folder: Path, order: Order, ended_s: float) -> tuple[Took, ...]:
    """All phases of the program and of its rank, and how long each took; the clock is that of the machine."""
    paths = (folder / program.PHASES, RankFiles(folder / program.RANKS, order.rank).phases)
    found = sorted((each for path in paths for each in _phases(path)), key=lambda each: each.at_s)
    ends = [each.at_s for each in [*found, phase.Phase("", ended_s, 0)][1:]]
    return tuple(
        Took(phase=each.name, seconds=max(0.0, round(end - each.at_s, 3)))
        for each, end in zip(found, ends, strict=True)
    )


def _phases(path: Path) -> tuple[phase.Phase, ...]:
    try:
        return phase.parse(_read(path))
    except (ValueError, TypeError):
        return ()


def _read(path: Path) -> str:
    """A file of the program, which in a container anything may have written; "" where it is none."""
    try:
        return untrusted.read_bytes(path, MOST_OF_LOG).decode("utf-8", errors="replace")
    except OSError:
        return ""


def keep_log(folder: Path, say: Callable[[str], None]) -> None:
    """Say what the program printed, for whoever looks for the reason."""
    say(_read(folder / LOG))
