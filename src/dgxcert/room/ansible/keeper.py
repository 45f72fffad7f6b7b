"""Keeps a program of Ansible's: started by its path, ends with everything below it, whatever becomes of the controller.

Standard library alone, started without site-packages. Its standard input is a pipe that the controller holds: once that
is closed, by the controller or by the kernel after `kill -9`, all is ended. Workers of Ansible's, and the shared
connections that ssh keeps, leave their parent; the kernel makes them children of this process, which finds them so.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_S, KILLED_S = 3.0, 5.0
"""How long Ansible may take to end by itself, and what was killed to be gone."""
LOOK_S = 0.02
SHARED = b"_ANSIBLE_SSH_ASKPASS_SHM="
"""The variable of ssh that names the memory in which ansible-core hands it the password (plugins/connection/ssh.py)."""
MEMORY = Path("/dev/shm")  # noqa: S108 (where shm_open(3) has its objects)


def main(controller: int, private: str, args: list[str]) -> int:
    """Run `args` to its end, or to that of standard input; the exit code, or minus the signal that ended it.

    `private` is the folder of the process `controller`, this one's parent for as long as it lives: the folder is
    removed where the controller was killed and cannot do so.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    null = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    # The default for SIGINT: in a background job of a shell it is ignored, and Ansible would never end by it.
    child = os.posix_spawn(
        args[0], args, os.environ, file_actions=null, setsid=True, setsigdef=[signal.SIGINT, signal.SIGQUIT]
    )
    ended = threading.Event()
    threading.Thread(target=_end_with_input, args=(child, ended), daemon=True).start()
    _, status = os.waitpid(child, 0)
    ended.set()
    _kill_below()
    if os.getppid() != controller:
        shutil.rmtree(private, ignore_errors=True)
    return os.waitstatus_to_exitcode(status)


def _end_with_input(child: int, ended: threading.Event) -> None:
    """Once standard input ends, have the child end: by Ctrl-C's signal, and by force where that does not help."""
    while os.read(0, 4096):
        pass
    if not ended.is_set():
        _signal(child, signal.SIGINT)
        if not ended.wait(GRACE_S):
            _signal(child, signal.SIGKILL)


def _kill_below() -> None:
    """Kill all descendants, and wait until they are gone."""
    deadline = time.monotonic() + KILLED_S
    while (left := list(_below(os.getpid()))) and time.monotonic() < deadline:
        names = {name for pid in left for name in _memory(pid)}
        for pid in left:
            _signal(pid, signal.SIGKILL)
        _reap()
        for name in names:  # the worker that would have removed it was killed
            (MEMORY / name).unlink(missing_ok=True)
        time.sleep(LOOK_S)


def _below(pid: int) -> Iterator[int]:
    """The descendants of a process, from /proc/PID/task/*/children."""
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listing.read_text(encoding="ascii").split()
        except OSError:  # it ended meanwhile
            continue
        for child in map(int, children):
            yield child
            yield from _below(child)


def _memory(pid: int) -> Iterator[str]:
    """The names of shared memory with a password that the environment of a process tells."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return
    for variable in environment.split(b"\0"):
        name = os.fsdecode(variable.removeprefix(SHARED)).lstrip("/")
        if variable.startswith(SHARED) and name and "/" not in name:
            yield name


def _reap() -> None:
    """Take the exit codes of the children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    code = main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
    sys.exit(code if code >= 0 else 128 - code)
