"""Ranks of simulated GPUs: work that several processes do together, forked from one that has torch loaded.

What `workloads/distributed/process.py` does is done by the real one, with a real process group of gloo. Only torch's
launcher is replaced, which would start Python and import torch for each rank, and what a rank asks of CUDA.
"""

import dataclasses
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from simulated import gpu_clock
from simulated.forks import Forked
from simulated.silicon import SimulatedGpu

from dgxcert import command
from dgxcert.workloads.distributed import agent, launch, placement, process, task

LOOK_S = 0.01
_ranks_of_gpus = False


def _before(_rank: int) -> None:
    """What a rank does before anything else."""


def play(*, simulated: bool = True, before: Callable[[int], None] = lambda _rank: None) -> None:
    """Have ranks forked, each with `before` called first; it cannot be undone, so only for a process that judges."""
    global _before, _ranks_of_gpus
    _before = before
    launch._start_and_wait = _start_and_wait
    if simulated:
        task.Device = SimulatedGpu  # type: ignore[misc]  # what a rank reads from the folder
        placement.bind = lambda _rank: ()
        _ranks_of_gpus = True


def _start_and_wait(
    folder: Path, given: task.Task, variables: dict[str, str], _gives_up: Callable[[], bool]
) -> tuple[bool, str]:
    """As launch's own, of one machine: whether the ranks were late, and how what started them died, or ""."""
    dataclasses.replace(given, backend="gloo").write(folder)
    with (folder / "agent.log").open("wb") as output:
        starter = Forked(lambda: _start(folder, len(given.devices), variables), output, output)
    try:
        ends_s = time.monotonic() + given.limit_s
        while starter.poll() is None and time.monotonic() < ends_s:
            time.sleep(LOOK_S)
        late = starter.poll() is None
        if late:
            launch._ask_for_stacks(folder, given)
    finally:
        command.end_group(starter, launch.GRACE_S)  # type: ignore[arg-type]  # what it needs of Popen is there
    if late or (folder / agent.EXITS).is_file():
        return late, ""
    return late, f"what forks the ranks ended with {starter.returncode}"


def _start(folder: Path, size: int, variables: Mapping[str, str]) -> int:
    """Fork the ranks and wait for them, as torch's launcher does: where one fails, the others are ended."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ.clear()
    os.environ.update(variables)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(size))
    running = {_fork(folder, rank): rank for rank in range(size)}
    failed: dict[str, int] = {}
    while running:
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        rank = running.pop(pid)
        if code and not failed:
            for other in running:
                os.kill(other, signal.SIGTERM)
            failed[str(rank)] = code
    (folder / agent.EXITS).write_text(json.dumps(failed), encoding="utf-8")
    return 0


def _fork(folder: Path, rank: int) -> int:
    logs = folder / "logs" / "forked" / "attempt_0" / str(rank)
    logs.mkdir(parents=True)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        command.die_with_parent(parent)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(logs / f"{name}.log", os.O_WRONLY | os.O_CREAT, 0o600), number)
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        if _ranks_of_gpus:
            _without_cuda(folder, rank)
        _before(rank)
        code = process.main(folder)
        if _ranks_of_gpus:
            gpu_clock.of(_gpu_of(folder, rank)).rest()
    finally:
        os._exit(code)


def _without_cuda(folder: Path, rank: int) -> None:
    import torch

    torch.cuda.set_device = lambda _index: None
    gpu_clock.time_rank(_gpu_of(folder, rank))


def _gpu_of(folder: Path, rank: int) -> int:
    return task.Task.read(folder).devices[rank].index
