"""Siblings: processes of other lanes, which measure other GPUs: what they have on this one computes nothing here."""

import os
import re
from pathlib import Path

from dgxcert.probes.gpu.sharing import outside_view

VARIABLE = "DGXCERT_LANE"
"""Set by a child of a lane for what it starts: the process id of its supervisor, and its own."""
PROC = Path("/proc")


def without(pids: list[int]) -> list[int]:
    """Those of the host's process ids that are not of another lane; all of them where no lane works here."""
    found = re.fullmatch(r"(\d+) (\d+)", os.environ.get(VARIABLE, ""))
    if found is None or os.readlink("/proc/self/ns/pid") != outside_view.OF_THE_HOST:
        return pids
    supervisor, own = int(found[1]), int(found[2])
    return [pid for pid in pids if supervisor not in (above := _line(pid)) or own in above]


def _line(pid: int) -> list[int]:
    """A process and those above it, up to the first."""
    line = []
    while pid > 0 and pid not in line:
        line.append(pid)
        try:
            status = (PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
        except OSError:
            break
        parent = re.search(r"^PPid:\s+(\d+)$", status, re.MULTILINE)
        pid = int(parent[1]) if parent else 0
    return line
