"""Collectives of ranks of which one has a fault, judged by the real requirement and supervisor on two ranks of gloo.

    python collective_faults.py REQUIREMENT FAULT...

prints how the requirement ended with each fault, as JSON. The processes are forked from this one, with torch loaded.
"""

import contextlib
import functools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from simulated import matrix, ranks

from dgxcert.machine.runtime import Runtime
from dgxcert.plan import selection, suite
from dgxcert.plan.options import Options
from dgxcert.probes.host import identity
from dgxcert.profiles import profile
from dgxcert.workloads.distributed import collectives, operations

GUILTY = 1
MARK = "COLLECTIVE_FAULTS"
"""In the environment of this program and of all that it starts."""
LIMIT_S, PATIENCE_S = 5.0, 200.0
"""How long ranks are waited for of which one hangs, and all others, which are done in one second, or later where others
work on all cores."""
HANGING = ("hangs", "never arrives")
ROUNDS = 7
"""The fault comes with this operation of the guilty rank, when all ranks have worked together for a while."""


def _dies() -> None:
    os._exit(9)


def _hangs() -> None:
    time.sleep(10 * PATIENCE_S)


class Faulty:
    """`operations.run` of the guilty rank."""

    def __init__(self, fault: str) -> None:
        self._fault, self._rounds, self._run = fault, 0, operations.run

    def __call__(self, operation: str, given: Any, result: Any, root: int = operations.ROOT) -> None:
        self._rounds += 1
        if self._rounds == ROUNDS and self._fault in ("dies", "hangs"):
            {"dies": _dies, "hangs": _hangs}[self._fault]()
        if self._fault == "lies" and operation == "all_reduce":
            result[len(result) // 2] *= 2
        self._run(operation, given, result, root)


def plant(fault: str, rank: int) -> None:
    """Give a rank its fault, before it joins the others."""
    if rank != GUILTY:
        return
    if fault == "never arrives":
        _hangs()
    operations.run = Faulty(fault)


def processes() -> list[int]:
    """The processes that this one has left, of whatever group: those with the mark that the caller gave it."""
    mark, found = f"{MARK}={os.environ[MARK]}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def main(requirement: str, *faults: str) -> None:
    """Print how a requirement ended on two ranks, by fault of one of them."""
    import torch  # noqa: F401 (loaded once, here, for all that are forked)

    os.environ.update(suite.environment())
    os.chdir(suite.root())
    options = Options(profile="cpu", only=(requirement,), runtime=Runtime.NATIVE)
    chosen, machine = profile.load("cpu"), identity.read()
    planned = [selection.decide(entry, chosen, options, 0) for entry in suite.collect(suite.root(), 1)]
    ended = {}
    for fault in faults:
        collectives.PROOF_LIMIT_S = LIMIT_S if fault in HANGING else PATIENCE_S
        ranks.play(simulated=False, before=functools.partial(plant, fault))
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="dgxcert-collectives-") as folder:
            done = matrix.measured(planned, options, chosen, machine, Path(folder) / "run", plugins=())
        (result,) = [each for each in done.results if each.id == requirement]
        told = {"outcome": result.outcome.value, "reason": result.reason, "remedy": result.remedy}
        ended[fault] = {**told, "took_s": time.monotonic() - began, "left": processes()}
    sys.stdout.write(json.dumps(ended))


if __name__ == "__main__":
    main(*sys.argv[1:])
