"""Together: the burn-in of all GPUs of a machine at the same time, one process for each, cycle by cycle.

All GPUs begin each cycle at the same moment, so that what needs all of them shows: the power supply, the heat of the
whole machine. Each keeps a log of its own, as where there is one GPU. A machine with one, and a CPU, burn in alone.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.burn_in import log, loop
from dgxcert.workloads.burn_in.log import Cycle
from dgxcert.workloads.burn_in.siblings import BurnIn
from dgxcert.workloads.correctness.same_bits import kind
from dgxcert.workloads.distributed import exchange, launch, phase
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.hardware.together import neighbours

MODULE = "burn_in.together"
PREPARED_S, LATE_S, LATE_CYCLES = 300.0, 120.0, 4.0
"""Seconds until all have prepared their work, and seconds and cycles that one may need longer than another."""
OVERHEAD, SPARE_S = 1.2, 700.0
"""Limit per second of burn-in, and seconds beyond it: less than the supervisor gives, so that the rank is named."""
ENOUGH_S = 0.001
"""Worked beyond the minutes: sums of the same seconds in another order may differ in their last bits."""


def run(devices: Sequence[Device], profile: Profile, minutes: float, keeps: Path, say: Callable[[str], None]) -> BurnIn:
    """Work on all devices until the cycles in which all of them worked make up so many minutes.

    About once a minute `say` gets a line of progress. Raises what `loop.run` and `launch.run` raise; Wrong where a
    result was wrong before that.
    """
    used = devices if profile.uses_gpu else devices[:1]
    try:
        if len(used) > 1:
            return all_at_once(used, profile, minutes, keeps, say)
        return BurnIn({Rank(0, tuple(used)).name: loop.run(used[0], profile, minutes, keeps, say)})
    finally:
        for device in used:
            device.release()


def all_at_once(
    devices: Sequence[Device], profile: Profile, minutes: float, keeps: Path, say: Callable[[str], None]
) -> BurnIn:
    """The burn-in of several devices, one process for each."""
    before = read(devices, keeps)
    left_s = 60 * minutes - before.worked_s + ENOUGH_S
    settings = {
        "profile": profile.model_copy(update={"limits": {}, "site": None, "lab": None}).model_dump(mode="json"),
        "seconds": left_s,
        "number": before.next_number,
        "keeps": str(keeps.absolute()),
        "ours": neighbours.ours(devices),
    }
    for device in devices:
        device.release()
    limit_s = OVERHEAD * max(0.0, left_s) + SPARE_S
    try:
        with _progress(devices, keeps, minutes, say):
            launch.run(MODULE, devices, settings, limit_s=limit_s, backend="gloo")
    except KeyboardInterrupt:
        for device in devices:
            log.append_pause(loop.path_of(device, keeps))
        raise
    except Exception as error:
        done = read(devices, keeps)
        done.require_correct()  # a wrong value is a finding, also where a rank died of it
        if not isinstance(error, Inconclusive):
            raise
        kept = f"{done.minutes:.1f} of {minutes:g} min on all devices are kept in {keeps.name}/burn-in-*.jsonl"
        raise Inconclusive(f"{error.problem}; {kept}", *error.remedy) from error
    return read(devices, keeps)


def read(devices: Sequence[Device], keeps: Path) -> BurnIn:
    """The burn-in of all devices from their logs."""
    every = tuple(devices)
    return BurnIn({Rank(i, every).name: log.summary_of(loop.path_of(each, keeps)) for i, each in enumerate(every)})


@contextmanager
def _progress(devices: Sequence[Device], keeps: Path, minutes: float, say: Callable[[str], None]) -> Iterator[None]:
    """Say about once a minute how far the ranks have come by their logs, and once more at a good end."""
    over = threading.Event()

    def tell() -> None:
        done = read(devices, keeps)
        last = {name: summary.cycles[-1] for name, summary in done.summaries.items() if summary.cycles}
        if last:
            slowest = min(last, key=lambda name: last[name].matmul)
            count = len(devices)
            say(f"{done.minutes:.1f} of {minutes:g} min on {count} devices; slowest is {slowest}: {last[slowest].line}")

    def watch() -> None:
        while not over.wait(loop.SAY_S):
            tell()

    watching = threading.Thread(target=watch, name="burn-in progress", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
    tell()


def work(rank: Rank, settings: dict[str, Any]) -> dict[str, Any]:
    """Work on this rank's device as long as all others do; what it did is in its log."""
    profile = Profile.model_validate(settings["profile"])
    device, path = rank.device, loop.path_of(rank.device, Path(settings["keeps"]))
    of_all = {"kind": kind.of(device), "together": [rank.other(index).name for index in range(rank.size)]}
    chosen = loop.settings_of(device, profile) | of_all
    loop.require_same(path, chosen)
    phase.enter("comparing settings")
    exchange.meet(rank, PREPARED_S)  # one that refuses its log leaves those of all others as they are
    loop.begin(device, path, chosen)
    phase.enter("preparing the work")
    worker = loop.Worker(device, profile, path, settings["ours"][rank.index])
    exchange.meet(rank, PREPARED_S)
    _work(rank, worker, path, settings, LATE_S + LATE_CYCLES * profile.workloads.burn_in.cycle_s)
    return {}


def _work(rank: Rank, worker: loop.Worker, path: Path, settings: dict[str, Any], late_s: float) -> None:
    left_s, number, not_counted = float(settings["seconds"]), int(settings["number"]), 0
    while left_s > 0:
        phase.enter(f"cycle {number}")
        cycle = replace(worker.cycle(), number=number)
        log.append_cycle(path, cycle)
        phase.enter(f"waiting for the others after cycle {number}")
        exchange.meet(rank, late_s)
        everyone = exchange.gathered(rank, (cycle.seconds, cycle.counts))
        counts = all(each for _, each in everyone)
        left_s -= min(seconds for seconds, _ in everyone) if counts else 0.0
        not_counted = 0 if counts else not_counted + 1
        if not_counted >= loop.MAX_NOT_COUNTED:
            _give_up(cycle)
            return
        number += 1


def _give_up(cycle: Cycle) -> None:
    """Raise Inconclusive on the ranks whose cycles do not count; the others just end."""
    if not cycle.counts:
        raise loop.disturbed(cycle)
