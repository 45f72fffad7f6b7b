"""Wire: what RDMA alone moves over each half and over both at once, by perftest's ib_write_bw where both ends have it.

It tells a slow cable or network card from a slow library. No limit is compared with it: what it reaches depends on
options and versions that published figures do not name.
"""

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dgxcert import command
from dgxcert.record.room.pair_answer import Wire

PROGRAM = "ib_write_bw"
SIZE_BYTES, QUEUES, SECONDS = 65_536, 4, 2
PORT = 29420
SERVES_S, ASKS_S = 12.0, 15.0
"""How long an end waits for the one that asks; and how long that one tries, while the other may still wait in vain."""
TRIES_S = 0.5
AVERAGE = "BW average[Gb/sec]"
COLUMNS = 5


@dataclass(frozen=True)
class Half:
    """One half that has an RDMA device, and the other end's address on it."""

    hca: str
    peer: str


def is_installed() -> bool:
    """Whether this machine has ib_write_bw."""
    return shutil.which(PROGRAM) is not None


def measure(halves: Sequence[Half], *, asks: bool) -> tuple[Wire, ...]:
    """Each half alone, then all at once; one end asks, the other one serves, and both go through the same list."""
    runs = [[half] for half in halves] + ([list(halves)] if len(halves) > 1 else [])
    found, port = [], PORT
    for run in runs:
        with ThreadPoolExecutor(len(run)) as pool:
            said = list(pool.map(lambda each: _one(each[1], each[0], asks=asks), enumerate(run, start=port)))
        port += len(run)
        speeds = [parse(output) for output, _ in said]
        found.append(
            Wire(
                hcas=tuple(half.hca for half in run),
                gbits=sum(speed for speed in speeds if speed is not None),
                size_bytes=SIZE_BYTES,
                says="; ".join(
                    problem or "it printed no result"
                    for (_, problem), speed in zip(said, speeds, strict=True)
                    if speed is None
                ),
            )
        )
    return tuple(found)


def _one(half: Half, port: int, *, asks: bool) -> tuple[str, str]:
    """The output of ib_write_bw on one half, and what went wrong."""
    args = [PROGRAM, "-d", half.hca, "-i", "1", "-p", str(port), "-s", str(SIZE_BYTES), "-q", str(QUEUES)]
    args += ["-D", str(SECONDS), "-F", "--report_gbits"]
    end_s = time.monotonic() + (ASKS_S if asks else SERVES_S)
    while True:
        left_s = max(end_s - time.monotonic(), SECONDS)
        try:
            done = command.run([*args, half.peer] if asks else args, timeout_s=left_s)
        except OSError as error:
            return "", f"{PROGRAM} cannot be started: {error.strerror}"
        if done.returncode == 0:
            return done.stdout, ""
        if not asks or time.monotonic() + TRIES_S > end_s:
            return "", done.complaint
        time.sleep(TRIES_S)  # the other end does not listen yet


def parse(output: str) -> float | None:
    """The average in Gbit/s of the last row; None where there is none, or in another unit (linux-rdma/perftest).

    >>> parse(''' #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]
    ...  65536      353147           0.00               92.57              0.176565
    ... ---------------------------------------------------------------------------------------''')
    92.57
    """
    lines = output.splitlines()
    header = next((number for number, line in enumerate(lines) if AVERAGE in line), None)
    if header is None:
        return None
    for line in reversed(lines[header + 1 :]):
        words = line.split()
        if len(words) == COLUMNS and words[0].isdecimal():
            try:
                return float(words[3])
            except ValueError:
                return None
    return None
