"""Launch: one process per device by torch's own launcher, each calling one function, all ended together.

A module of `workloads` that works so has a function `work(rank, settings)`, which returns what can be written as JSON.
"""

import contextlib
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dgxcert import command
from dgxcert.machine.device import Device
from dgxcert.outcome import DgxcertError
from dgxcert.workloads.distributed import agent, ending, phase
from dgxcert.workloads.distributed.rank import Rank
from dgxcert.workloads.distributed.task import Job, Meeting, RankFiles, Task

PACKAGE = "dgxcert.workloads"
"""Where the modules of work are."""
GRACE_S = 10.0
POLL_S = 0.2
FAREWELL_S = 2.0
"""How long torch's launcher waits for that of another machine, once the rank of this one has done its work. Python
takes seconds to take transformers apart, and nothing is lost where that is cut short."""
STACKS_S = 0.5
"""How long the ranks that are late have to write where they are, before they are killed."""
LOOPBACK = "lo"
"""The one network interface of every Linux: data goes over it only where ranks share no memory, and within a machine a
user's settings for its networks must change nothing."""
REMOVED = ("TORCHELASTIC_", "PET_", "NCCL_COMM_ID", "NCCL_HOSTID", "NCCL_DEBUG", "NCCL_LAUNCH_MODE")
"""Variables of another launcher, and those that would lead ranks elsewhere. Others of NCCL, torch and gloo are kept,
and named in every report: plan/environment.py."""

Said = tuple[dict[str, Any], ...]
"""What each rank said of one job, in the order of ranks."""


def run(
    module: str,
    devices: Sequence[Device],
    settings: Mapping[str, Any],
    *,
    limit_s: float,
    backend: str = "",
    variables: Mapping[str, str] | None = None,
) -> Said:
    """What `dgxcert.workloads.MODULE.work(rank, settings)` returned on each device, in the order of the devices.

    `backend` is torch.distributed's; without one, NCCL on GPUs and gloo on the CPU. Each process is bound to its device
    and to the processors beside it, and has its process group before `work` is called. `variables` are added to their
    environment: what NCCL says goes to a file of each rank, `NCCL_DEBUG_FILE`. Raises Wrong as the rank that raised it;
    Inconclusive, by name, where a rank died, did not arrive or did not end within `limit_s`: no process is left then.
    """
    said, error = in_turn([Job(module, settings)], devices, limit_s=limit_s, backend=backend, variables=variables)
    if error is not None:
        raise error
    return said[0]


def in_turn(
    jobs: Sequence[Job],
    devices: Sequence[Device],
    *,
    limit_s: float,
    backend: str = "",
    variables: Mapping[str, str] | None = None,
) -> tuple[list[Said], DgxcertError | None]:
    """Several jobs of the same processes, as `run` does one: what those returned that were done by all ranks.

    The error is that of the job after them, if the processes did not end well; it is returned so that what was done
    before it is kept.
    """
    with tempfile.TemporaryDirectory(prefix="dgxcert-ranks-", ignore_cleanup_errors=True) as name:
        task = Task(_named(jobs), tuple(devices), backend or _usual(devices), limit_s)
        return _done(Path(name), task, environment(os.environ, variables or {}), lambda: False)


def with_others(
    jobs: Sequence[Job],
    devices: Sequence[Device],
    meeting: Meeting,
    folder: Path,
    *,
    limit_s: float,
    variables: Mapping[str, str],
    gives_up: Callable[[], bool],
) -> tuple[list[Said], DgxcertError | None]:
    """Several jobs of ranks on several machines, of which this one starts its own: what that one has returned.

    As `in_turn`, but that the other ranks are out of sight: they meet at `meeting`, over the network interfaces that
    `variables` name. `folder` is kept, with what the rank was at. The work is ended early where `gives_up` says so, and
    torch's launcher too, where it waits for another machine, once this rank has done its work.
    """
    task = Task(_named(jobs), tuple(devices), _usual(devices), limit_s, meeting)
    return _done(folder, task, environment(os.environ, variables), gives_up)


def _named(jobs: Sequence[Job]) -> tuple[Job, ...]:
    return tuple(Job(f"{PACKAGE}.{job.module}", job.settings) for job in jobs)


def _usual(devices: Sequence[Device]) -> str:
    return "nccl" if devices[0].kind == "cuda" else "gloo"


def _done(
    folder: Path, task: Task, variables: dict[str, str], gives_up: Callable[[], bool]
) -> tuple[list[Said], DgxcertError | None]:
    task.write(folder)
    late, died = _start_and_wait(folder, task, variables, gives_up)
    left = [_left(folder, rank) for rank in task.here]
    error = ending.judge(left, late_s=task.limit_s if late else None, agent=died)
    if error is not None:
        sys.stderr.write("".join(f"--- {each.rank.name} printed:\n{each.printed}\n" for each in left))
    said = list(zip(*(ending.done(_text(RankFiles(folder, each.rank.index).done)) for each in left), strict=False))
    # Processes that did not end well after their last job leave a doubt about that one.
    return said[: len(task.jobs) - (error is not None)], error


class Batch:
    """Jobs of the same ranks, by name, done in one launch when the first of them is asked for: a start takes longer.

    Each answer is handed out once: who asks again, as a run does after a disturbance, has it measured again.
    """

    def __init__(self, devices: Sequence[Device], jobs: Mapping[str, Job], variables: Mapping[str, str]) -> None:
        self._devices, self._jobs, self._variables = tuple(devices), dict(jobs), variables
        self._tried: set[str] = set()
        self._kept: dict[str, Said | DgxcertError] = {}

    def answer(self, name: str, limit_s: float, before: Callable[[], object] = lambda: None) -> Said:
        """What each rank said of a job; `before` is called where it has to be measured first.

        Raises what `launch.run` raises where the processes died or hung in this job. Those after it are measured by the
        next launch, when one of them is asked for.
        """
        if name not in self._kept:
            before()
            self._measure(name, limit_s)
        kept = self._kept.pop(name)
        if isinstance(kept, DgxcertError):
            raise kept
        return kept

    def _measure(self, first: str, limit_s: float) -> None:
        names = [first, *(name for name in self._jobs if name != first and name not in self._tried)]
        jobs = [self._jobs[name] for name in names]
        said, error = in_turn(jobs, self._devices, limit_s=limit_s, variables=self._variables)
        ended: list[Said | DgxcertError] = [*said, *([error] if error else [])]
        self._kept |= zip(names, ended, strict=False)
        self._tried |= set(names[: len(ended)])


def environment(variables: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The environment of the ranks.

    >>> environment({"NCCL_SOCKET_IFNAME": "eth0", "NCCL_DEBUG": "TRACE", "TORCHELASTIC_RUN_ID": "1"}, {})
    {'NCCL_SOCKET_IFNAME': 'lo', 'GLOO_SOCKET_IFNAME': 'lo', 'NCCL_DEBUG': 'WARN', 'CUDA_DEVICE_ORDER': 'PCI_BUS_ID'}
    """
    kept = {name: value for name, value in variables.items() if not name.startswith(REMOVED)}
    own = {"NCCL_SOCKET_IFNAME": LOOPBACK, "GLOO_SOCKET_IFNAME": LOOPBACK, "NCCL_DEBUG": "WARN"}
    return {**kept, **own, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", **added}


def _start_and_wait(
    folder: Path, task: Task, variables: dict[str, str], gives_up: Callable[[], bool]
) -> tuple[bool, str]:
    """Run the ranks to their end or to the limit: whether they were late, and how torch's launcher died, or ""."""
    args = [sys.executable, "-P", "-m", agent.__name__, str(folder), str(os.getpid())]
    with (folder / "agent.log").open("wb") as output:
        process = command.start(args, output=output, cwd=folder, env=variables)
    try:
        late = not _ended(process, folder, task, gives_up)
        if late:
            _ask_for_stacks(folder, task)
    finally:
        command.end_group(process, GRACE_S)
    if late or (folder / agent.EXITS).is_file() or (task.meeting and _has_returned(folder, task)):
        return late, ""
    said = (folder / "agent.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return late, f"torch's launcher ended with {process.returncode}: {said[-1][:300] if said else 'it printed nothing'}"


def _ended(process: Any, folder: Path, task: Task, gives_up: Callable[[], bool]) -> bool:
    """Wait for torch's launcher; False at the limit. Of several machines it may be the others' that lets it wait."""
    if task.meeting is None:
        return command.ends(process, task.limit_s)
    deadline, returned_at = time.monotonic() + task.limit_s, math.inf
    while not command.ends(process, POLL_S):
        now = time.monotonic()
        if returned_at == math.inf and _has_returned(folder, task):
            returned_at = now
        if now > returned_at + FAREWELL_S or gives_up():
            return True
        if now > deadline:
            return False
    return True


def _has_returned(folder: Path, task: Task) -> bool:
    """Whether every rank of this machine has done all its work."""
    return all("returned" in ending.answer(_text(RankFiles(folder, rank.index).answer)) for rank in task.here)


def _ask_for_stacks(folder: Path, task: Task) -> None:
    """Have each rank write where its Python code is; a rank that has not begun would die of the signal."""
    for rank in task.here:
        begun = _phases(RankFiles(folder, rank.index))
        if len(begun) > 1:
            _signal(begun[0].pid)
    time.sleep(STACKS_S)


def _signal(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGUSR1)


def _phases(files: RankFiles) -> tuple[phase.Phase, ...]:
    return phase.parse(_text(files.phases))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _left(folder: Path, rank: Rank) -> ending.Left:
    files = RankFiles(folder, rank.index)
    exits = ending.exits(_text(folder / agent.EXITS) or "{}")
    return ending.Left(
        rank,
        _phases(files),
        ending.answer(_text(files.answer)),
        exits.get(rank.index),
        files.output("stdout") + files.output("stderr"),
        _text(files.stack),
        _text(files.nccl),
    )
