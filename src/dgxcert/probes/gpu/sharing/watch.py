"""The watch: looks twice a second which processes are on the GPUs, outside of the container that works on them.

    python -P -m dgxcert.probes.gpu.sharing.watch CONTAINER FILE [RUN]

RUN is how the names of the run's containers begin, where each GPU has one: those of other lanes are no strangers.

A process of its own, since the driver can hang or crash its caller. It ends with its parent, and where the driver
refuses to start; then the container knows no more, and says so.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from dgxcert.container import engine
from dgxcert.probes.gpu import driver_answers
from dgxcert.probes.gpu.sharing import outside_view

EVERY_S = 0.5
"""The driver goes through all of its clients for an answer."""
PROC = Path("/proc")


class Membership:
    """Which processes are a container's: those whose control group bears the container's id.

    The engine is asked for the id when there is a process to tell, and again until it knows the container.
    """

    def __init__(self, find_id: Callable[[], str], find_others: Callable[[], list[str]] = list) -> None:
        """`find_others` lists the ids of the run's other containers, which measure other GPUs at the same time."""
        self._find_id, self._find_others = find_id, find_others
        self._id = ""
        self._others: dict[int, bool] = {}
        """Of the processes that are not the container's: whether they are of another lane."""

    def without_lanes(self, pids: list[int]) -> list[int]:
        """Those of the host's process ids that are not another lane's: its context on this GPU computes nothing."""
        if pids and not self._id:
            self._id = self._find_id()
        return [pid for pid in pids if not (self._id and self._is_of_lane(pid))]

    def _is_of_lane(self, pid: int) -> bool:
        if pid not in self._others:
            groups = _groups(pid)
            self._others[pid] = self._id not in groups and any(each in groups for each in self._find_others())
        return self._others[pid]

    def foreign(self, pids: list[int]) -> list[int]:
        """Those of the host's process ids that are not the container's."""
        if pids and not self._id:
            self._id = self._find_id()
        others = (pid for pid in pids if not self._id or self._id not in _groups(pid))
        return [pid for pid in others if not has_ended(pid)]


def has_ended(pid: int) -> bool:
    """Whether a process of the host has ended since the driver listed it, such as a short one of the container.

    False in a PID namespace, where the driver's ids mean nothing. Not looked up in /proc, which may hide processes.
    """
    if os.readlink("/proc/self/ns/pid") != outside_view.OF_THE_HOST:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _groups(pid: int) -> str:
    """The control groups of a process as the host names them, such as /system.slice/docker-4f1c….scope.

    Not /proc/PID/ns/pid, which only who may trace a process can read.
    """
    try:
        return (PROC / str(pid) / "cgroup").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def container_id(name: str) -> str:
    """The engine's id of a container; empty while there is none of that name."""
    try:
        return engine.run("inspect", "--type", "container", "--format", "{{.Id}}", name).stdout.strip()
    except OSError:
        return ""


def look(nvml: Any, gpus: dict[str, Any], members: Membership) -> dict[str, Any]:
    """One look at all GPUs: for each UUID the fields of `driver_answers.PROCESSES` that are answered or refused."""
    seen = {}
    for uuid, gpu in gpus.items():
        answers = driver_answers.ask_here(nvml, gpu)
        answered = answers["answered"]
        if "compute_processes" in answered:
            answered["compute_processes"] = members.without_lanes(answered["compute_processes"])
            answered["foreign_processes"] = members.foreign(answered["compute_processes"])
        seen[uuid] = answers
    return {"t": time.monotonic(), "gpus": seen}


def watch(nvml: Any, members: Membership, file: IO[str], parent: int) -> None:
    """Append looks to a file until the parent has ended. Raises NVMLError."""
    nvml.nvmlInit()
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    gpus = {nvml.nvmlDeviceGetUUID(gpu): gpu for gpu in handles}
    while os.getppid() == parent:
        file.write(json.dumps(look(nvml, gpus, members)) + "\n")
        file.flush()
        time.sleep(EVERY_S)


def container_ids(names: str) -> list[str]:
    """The engine's ids of all containers whose names begin so; none where it does not answer."""
    try:
        listed = engine.run("ps", "--no-trunc", "--filter", f"name={names}", "--format", "{{.ID}} {{.Names}}")
    except OSError:
        return []
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [pair[0] for pair in pairs if len(pair) == 2 and pair[1].startswith(names)]


def main(container: str, path: str, run: str = "") -> None:
    """Watch for a container of that name; the file is there already."""
    import pynvml

    parent = os.getppid()
    with open(path, "a", encoding="ascii") as file:
        members = Membership(lambda: container_id(container), lambda: container_ids(run) if run else [])
        watch(pynvml, members, file, parent)


if __name__ == "__main__":
    main(*sys.argv[1:])
