"""A stream from one host to another through the controller, which keeps none of it.

The hosts need not reach each other. Nothing is compressed: at 1 Gbit/s and above gzip would be slower than the network.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

from dgxcert import command
from dgxcert.outcome import CannotStart

if TYPE_CHECKING:
    from subprocess import Popen

BLOCK = 1 << 20
IDLE_S = 60.0
"""After so long without a byte it is given up."""
OPEN_TRIES = 150
"""How often a pipe is looked for on a host, every fifth of a second."""


def copy(
    giver: list[str], taker: list[str], pipes: tuple[str, str], env: dict[str, str], seen: Callable[[int], None]
) -> int:
    """Copy what the pipe on one host gives into that on another; returns how many bytes. Raises CannotStart.

    `giver` and `taker` are the command lines of ssh without the command on the host.
    """
    with tempfile.TemporaryDirectory(prefix="dgxcert-stream-") as folder, Path(folder, "said").open("wb") as errors:
        here = Path(folder)
        taking = command.start_piped([*taker, _wait(pipes[1], "exec cat >")], output=errors, cwd=here, env=env)
        giving = command.start_piped([*giver, _wait(pipes[0], "exec cat <")], output=errors, cwd=here, env=env)
        try:
            count = _pump(giving, taking, seen)
            ended = all(command.ends(each, IDLE_S) for each in (giving, taking))
            if not ended or giving.returncode or taking.returncode or not count:
                said = (here / "said").read_bytes()[-300:].decode(errors="replace").strip()
                raise CannotStart(
                    f"The stream ended after {count / 1e9:.2f} GB: {' '.join(said.split()) or 'nobody said why'}.",
                    "Call it again.",
                )
            return count
        finally:
            for each in (giving, taking):
                command.end_group(each)
                for pipe in (each.stdin, each.stdout):
                    if pipe is not None:
                        pipe.close()


def _pump(giving: "Popen[bytes]", taking: "Popen[bytes]", seen: Callable[[int], None]) -> int:
    """Copy until the giver has no more, and close the taker's end; a standstill ends both."""
    count, told_s = 0, time.monotonic()
    if giving.stdout is None or taking.stdin is None:
        raise CannotStart("ssh has no pipes.", "Report this.")
    while True:
        watch = Timer(IDLE_S, lambda: (command.end_group(giving), command.end_group(taking)))
        watch.daemon = True
        watch.start()
        try:
            data = giving.stdout.read(BLOCK)
            view = memoryview(data or b"")
            while view:
                view = view[taking.stdin.write(view) :]
        except (BrokenPipeError, ConnectionResetError):
            return count
        finally:
            watch.cancel()
        if not data:
            taking.stdin.close()
            return count
        count += len(data)
        if time.monotonic() - told_s > 5:
            told_s = time.monotonic()
            seen(count)


def _wait(folder: str, then: str) -> str:
    """What the host's shell does: wait for the pipe, and join it."""
    pipe = f"{folder}/pipe"
    wait = f"n=0; until [ -p {pipe} ]; do n=$((n+1)); [ $n -lt {OPEN_TRIES} ] || exit 9; sleep 0.2; done"
    return f"{wait}; {then} {pipe}"
