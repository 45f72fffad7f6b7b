"""The program of one end, natively or in the container: meets the other end, starts its rank, and says how that ended.

It works in one folder: `order.json` is what it is told, `ranks/` what its rank leaves, `said.json` what it says itself.
Whoever started it reads these when it has ended or was killed: see `end`.
"""

import os
import sys
import threading
from pathlib import Path

from dgxcert import command
from dgxcert.files import atomic, untrusted
from dgxcert.files.untrusted import MIB
from dgxcert.outcome import DgxcertError, Inconclusive, Wrong
from dgxcert.plan import suite
from dgxcert.record.room.pair_answer import Part, Stopped, Versions
from dgxcert.workloads.distributed import launch, phase
from dgxcert.workloads.distributed.task import Meeting, RankFiles
from dgxcert.workloads.pairs import collectives, greeting, network
from dgxcert.workloads.pairs.lifeline import Lifeline
from dgxcert.workloads.pairs.order import Order

SAID, PHASES, RANKS = "said.json", "program.phases", "ranks"
MOST_BYTES = 4 * MIB
ENDED_BADLY = 1


class Said(Part):
    """What the program of one end says."""

    versions: Versions | None = None
    peer_versions: Versions | None = None
    environment: dict[str, str] = {}
    done: bool = False
    """Whether all its work was done."""
    stopped: Stopped | None = None

    def write(self, folder: Path) -> "Said":
        """Keep it in the folder of this end's work."""
        atomic.write_text(folder / SAID, self.model_dump_json())
        return self


def main(folder: Path) -> int:
    """Do the work of one end; the exit code is 0 where all of it was done."""
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    phase.keep(folder / PHASES)
    phase.enter("starting")
    said = Said()
    order = Order.read(folder)
    try:
        phase.enter("loading torch")
        said = Said(versions=versions(order)).write(folder)
        said = _together(order, folder, said)
    except (Inconclusive, Wrong) as error:
        said = said.model_copy(update={"stopped": stopped(folder, order, error)})
    said.write(folder)
    return 0 if said.done else ENDED_BADLY


def _end_with_parent() -> None:
    """End with all that was started when standard input ends, as it does with whoever started this process."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    command.kill_below()
    os._exit(ENDED_BADLY)


def versions(order: Order) -> Versions:
    """What this end has; torch is imported, and no GPU is used."""
    import torch

    nccl = torch.cuda.nccl.version() if order.device.kind == "cuda" else ()
    identity = suite.identity(suite.root())
    return Versions(
        dgxcert=identity.version,
        suite=identity.package_sha256,
        python=sys.version.split()[0],
        torch=torch.__version__,
        nccl=".".join(map(str, nccl)),
        driver=order.driver,
        accelerator=order.device.product,
    )


def _together(order: Order, folder: Path, said: Said) -> Said:
    """Meet the other end and work with it. Raises what `greeting.meet` raises."""
    phase.enter("greeting the other end")
    met = greeting.meet(order, versions_of(said))
    lifeline = Lifeline(met.connection, lambda: current(folder, order))
    chosen = network.variables(order.interfaces, order.hcas, order.plan.backend)
    said = said.model_copy(
        update={
            "peer_versions": met.theirs.versions,
            "environment": network.kept(launch.environment(os.environ, chosen)),
        }
    ).write(folder)
    lifeline.start()
    phase.enter("starting its rank")
    store = order.address if order.rank == 0 else order.peer
    meeting = Meeting(store, met.store_port, order.hosts, order.rank, order.address)
    (folder / RANKS).mkdir()
    devices = (order.device.device,) * collectives.RANKS
    _, error = launch.with_others(
        collectives.jobs(order),
        devices,
        meeting,
        folder / RANKS,
        limit_s=order.limit_s,
        variables=chosen,
        gives_up=lambda: lifeline.lost is not None,
    )
    if error is None:
        lifeline.end("")
        return said.model_copy(update={"done": True})
    if not isinstance(error, Wrong):
        lifeline.await_reason()
    lost = lifeline.lost
    if lost is not None and not isinstance(error, Wrong):
        error = lost.error(order.peer_host, current(folder, order))
    lifeline.end(error.problem)
    return said.model_copy(update={"stopped": stopped(folder, order, error)})


def versions_of(said: Said) -> Versions:
    """Its versions, which it says first. Raises Inconclusive where it has not."""
    if said.versions is None:
        raise Inconclusive("this end does not know its own versions", "Report this with the log of this end.")
    return said.versions


def stopped(folder: Path, order: Order, error: DgxcertError) -> Stopped:
    """An error as an answer holds it."""
    kind = "wrong" if isinstance(error, Wrong) else "inconclusive"
    return Stopped(phase=current(folder, order), kind=kind, problem=error.problem, remedy=error.remedy)


def current(folder: Path, order: Order) -> str:
    """What this end is at: its rank once that has begun."""
    for path in (RankFiles(folder / RANKS, order.rank).phases, folder / PHASES):
        try:
            found = phase.parse(untrusted.read_bytes(path, MOST_BYTES).decode(errors="replace"))
        except (OSError, ValueError, TypeError):
            continue
        if found:
            return found[-1].name
    return "starting"
