"""Subprocesses, all of them: an argument list, a time limit, captured output, and the whole process group killed."""

import contextlib
import ctypes
import io
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that this process gets when its parent ends."""


@dataclass(frozen=True)
class Completed:
    """The result of a command that ended or was killed.

    >>> Completed(("docker", "info"), 1, "", "Cannot connect to the Docker daemon.").complaint
    '`docker info` exited with 1: Cannot connect to the Docker daemon.'
    """

    args: tuple[str, ...]
    returncode: int | None
    """None where it was killed at its time limit."""
    stdout: str
    stderr: str

    @property
    def timed_out(self) -> bool:
        """Whether it exceeded its time limit."""
        return self.returncode is None

    @property
    def complaint(self) -> str:
        """Why it failed, in one line."""
        if self.timed_out:
            return f"`{' '.join(self.args)}` did not answer within its time limit"
        last = (self.stderr.strip() or self.stdout.strip() or "no output").splitlines()[-1]
        return f"`{' '.join(self.args)}` exited with {self.returncode}: {last[:300]}"


def run(args: list[str], *, timeout_s: float, cwd: Path | None = None, env: dict[str, str] | None = None) -> Completed:
    """Run to its end or to the time limit, without a shell and without standard input.

    A process that survives SIGKILL, as in a hung driver call, is left behind. Raises OSError where the program cannot
    be started.

    >>> run(["echo", "580.95.05"], timeout_s=10).stdout
    '580.95.05\\n'
    """
    answer = run_raw(args, timeout_s=timeout_s, cwd=cwd, env=env)
    return Completed(answer.args, answer.returncode, _text(answer.stdout), _text(answer.stderr))


def _text(output: bytes) -> str:
    """Output as text, with the ends of lines that Python reads files with."""
    return io.TextIOWrapper(io.BytesIO(output), errors="replace").read()


@dataclass(frozen=True)
class Raw:
    """The result of a command, with its output byte for byte."""

    args: tuple[str, ...]
    returncode: int | None
    """None where it was killed at its time limit."""
    stdout: bytes
    stderr: bytes


def run_raw(args: list[str], *, timeout_s: float, cwd: Path | None = None, env: dict[str, str] | None = None) -> Raw:
    r"""Run as `run` does.

    >>> run_raw(["printf", "tree\\r\\n"], timeout_s=10).stdout
    b'tree\r\n'
    """
    process = subprocess.Popen(
        args,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a process group of its own, so that all it starts can be killed with it
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as late:
        end_group(process)
        return Raw(tuple(args), None, late.stdout or b"", late.stderr or b"")
    except BaseException:
        end_group(process)
        raise
    finally:
        # Popen.__exit__ would wait for the process, forever where it survived SIGKILL; closing the pipes does not.
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return Raw(tuple(args), process.returncode, stdout, stderr)


def _start_piped(args: list[str], env: dict[str, str], *, stderr: int) -> "subprocess.Popen[str]":
    """Start a process in a group of its own, whose output is read line by line."""
    return subprocess.Popen(
        args,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def stream(args: list[str], *, timeout_s: float, env: dict[str, str], line: Callable[[str], None]) -> int:
    """Run to its end or to the time limit, passing each line of output to `line`; the exit code, -9 where killed."""
    with _start_piped(args, env, stderr=subprocess.STDOUT) as process:
        watch = threading.Timer(timeout_s, end_group, [process])
        watch.start()
        try:
            for text in process.stdout or ():
                line(text.rstrip("\n"))
        except BaseException:
            end_group(process)
            raise
        finally:
            watch.cancel()
    return process.returncode


def follow(args: list[str], *, env: dict[str, str], wait_s: Callable[[], float], line: Callable[[str], None]) -> bool:
    """Run for as long as each line arrives within `wait_s()`; False where one did not and the process was killed."""
    lines: queue.Queue[str | None] = queue.Queue()
    with _start_piped(args, env, stderr=subprocess.DEVNULL) as process:

        def read() -> None:
            for text in process.stdout or ():
                lines.put(text.rstrip("\n"))
            lines.put(None)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            while (text := lines.get(timeout=max(wait_s(), 0))) is not None:
                line(text)
        except queue.Empty:
            return False
        finally:
            end_group(process)
            reader.join(timeout=1)
    return True


def fed(args: list[str], content: bytes, *, timeout_s: float) -> Completed:
    """Run a short program that reads `content` on standard input. Raises OSError where it cannot be started."""
    try:
        done = subprocess.run(args, input=content, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return Completed(tuple(args), None, "", "")
    return Completed(
        tuple(args), done.returncode, *(stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
    )


def foreground(args: list[str], say: Callable[[str], None]) -> Completed:
    """Run a program that may prompt the user on the terminal, such as for a passphrase or a touch of a key.

    Each line of its output is passed to `say` at once, and kept. It has no time limit, since it waits for a person.
    """
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as child:
        lines = []
        for line in child.stdout or ():
            lines.append(line)
            say(line.rstrip("\n"))
    return Completed(tuple(args), child.returncode, "", "".join(lines))


def start(
    args: list[str], *, output: IO[bytes], cwd: Path, env: dict[str, str], tied: bool = False
) -> "subprocess.Popen[bytes]":
    """Start a long-lived command in a process group of its own, with its output in a file.

    A `tied` one gets a pipe as its standard input, which ends when this process does, however that happens.
    """
    return subprocess.Popen(
        args,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def start_piped(args: list[str], *, output: IO[bytes], cwd: Path, env: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a command as `start` does, with pipes to its standard input and output; only its errors go to the file."""
    return subprocess.Popen(
        args,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=output,
        bufsize=0,
        start_new_session=True,
    )


def ends(process: "subprocess.Popen[bytes]", limit_s: float) -> bool:
    """Wait for a process that `start` made; False where it still runs after the limit."""
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def end_group(process: "subprocess.Popen[bytes] | subprocess.Popen[str]", grace_s: float = 10.0) -> bool:
    """Kill a process with its group and everything that it started; False where it still exists after `grace_s`.

    A process in a hung driver call survives. Descendants may lead groups of their own: `run` and `start` make them.
    """
    # Before the kill: orphans are reparented, and no longer found below the process.
    below = _groups_below(process.pid) if process.poll() is None else set()
    for group in (process.pid, *below):
        _signal(group, signal.SIGKILL)
    deadline = time.monotonic() + grace_s
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill_below() -> None:
    """Kill everything that this process started, with its descendants, in whatever group they are."""
    for group in _groups_below(os.getpid()):
        _signal(group, signal.SIGKILL)


def adopt_orphans() -> None:
    """Have the kernel make this process the parent of what its descendants leave behind, so that `kill_below` ends it.

    ssh keeps a shared connection open in a process that leaves its parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def signal_group(process: "subprocess.Popen[bytes] | subprocess.Popen[str]", number: signal.Signals) -> None:
    """Signal a process group that `start` made; one that has ended is not an error."""
    _signal(process.pid, number)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def resident_bytes(pid: int) -> int:
    """What a process has in memory, with all that it started; what has ended counts nothing."""
    total = 0
    for each in (pid, *_below(pid)):
        with contextlib.suppress(OSError, IndexError):  # it ended meanwhile
            pages = Path(f"/proc/{each}/statm").read_text(encoding="ascii").split()[1]
            total += int(pages) * os.sysconf("SC_PAGE_SIZE")
    return total


def _groups_below(pid: int) -> set[int]:
    """The process groups of a process's descendants."""
    groups: set[int] = set()
    for child in _below(pid):
        with contextlib.suppress(OSError):  # it ended meanwhile
            groups.add(os.getpgid(child))
    return groups - {os.getpgid(0)}


def _below(pid: int) -> list[int]:
    """The descendants of a process, from /proc/PID/task/*/children."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for listing in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                children = [int(child) for child in listing.read_text(encoding="ascii").split()]
                waiting.extend(children)
                found.extend(children)
    return found


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, so that it never runs without time limits."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before prctl took effect, so that no signal will come
        os.kill(os.getpid(), signal.SIGKILL)
