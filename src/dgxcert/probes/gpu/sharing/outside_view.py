"""The view from outside: what the host sees of the processes on the GPUs, as a container reads it.

A container has its own PID namespace. Drivers that know of namespaces leave out the processes of all others, and older
drivers list them by ids that mean nothing inside (NVIDIA/nvidia-docker#179, #1483). So `watch` asks the driver on the
host, and appends one line for each look to a file that the container can only read.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

FILE = Path("/run/dgxcert/gpu-processes.jsonl")
"""Where a container of a run finds it."""
FIELDS = ("compute_processes", "graphics_processes", "process_utilization", "foreign_processes")
FRESH_S = 2.5
"""A look is of now while it is no older: there are two a second."""
WAIT_S = 8.0
"""Less than every time limit of a question to the driver."""
POLL_S = 0.05
TAIL = 256 * 1024
"""Bytes at the end of the file that hold its last line, also with sixteen GPUs and hundreds of processes."""

OF_THE_HOST = "pid:[4026531836]"
"""The PID namespace of the host, whose number is the same on every machine: PROC_PID_INIT_INO, linux/proc_ns.h."""


class Unseen(Exception):  # noqa: N818 (reads as `raise Unseen`)
    """Nobody outside tells who is on the GPU; the message says why."""


class Refused(Exception):  # noqa: N818 (reads as `raise Refused`)
    """The driver refused the question outside: NVML's code and message."""

    def __init__(self, code: int, says: str) -> None:
        super().__init__(says)
        self.code, self.says = code, says


def is_there() -> bool:
    """Whether this is a container of a run, which must ask outside."""
    return FILE.exists()


def answer(uuid: str, field: str) -> Any:
    """What the host's driver answers about the processes on a GPU now.

    Raises Refused where it refused, Unseen where nobody has looked for a while.
    """
    gpus = _newest()["gpus"]
    if uuid not in gpus:
        raise Unseen(f"the host does not watch the GPU {uuid}")
    look = gpus[uuid]
    if field in look["refused"]:
        raise Refused(int(look["refused"][field]["code"]), str(look["refused"][field]["says"]))
    return look["answered"].get(field)


def _newest() -> dict[str, Any]:
    """The newest look, which is waited for where the last one is old."""
    deadline = time.monotonic() + WAIT_S
    while True:
        look = parse(_tail(FILE))
        age_s = time.monotonic() - look["t"] if look else float("inf")  # both sides count since the machine's boot
        if look and age_s <= FRESH_S:
            return look
        if time.monotonic() > deadline:
            since = f"since {age_s:.0f} s ago" if look else "yet"
            raise Unseen(f"the host, which sees the processes of others, has not looked {since}")
        time.sleep(POLL_S)


def parse(text: str) -> dict[str, Any] | None:
    r"""The last whole line of the file; None before there is one.

    >>> parse('{"t": 1.0, "gpus": {}}\n{"t": 1.5, "gp')
    {'t': 1.0, 'gpus': {}}
    """
    *lines, _ = text.split("\n")
    return dict(json.loads(lines[-1])) if lines else None


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        return file.read(TAIL).decode("utf-8", errors="replace")


def hides_others(pids: list[int], own: int) -> bool:
    """Whether a list of processes lacks those of other containers: it has our own id, which is only valid in here.

    >>> hides_others([4711], own=12)
    False
    """
    return own in pids and os.readlink("/proc/self/ns/pid") != OF_THE_HOST
