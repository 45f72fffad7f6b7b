"""Every subprocess goes through here: an argument list, a time limit, the output kept, the whole group ended."""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Completed:
    """What a finished (or killed) command left behind."""

    args: tuple[str, ...]
    returncode: int | None
    """None when it was killed at its time limit."""
    stdout: str
    stderr: str

    @property
    def timed_out(self) -> bool:
        """Whether the command outlived its limit."""
        return self.returncode is None

    @property
    def complaint(self) -> str:
        """Why it is no success, in one line."""
        if self.timed_out:
            return f"`{' '.join(self.args)}` did not answer within its time limit"
        last = (self.stderr.strip() or self.stdout.strip() or "no output").splitlines()[-1]
        return f"`{' '.join(self.args)}` ended with {self.returncode}: {last[:300]}"


def run(args: list[str], *, timeout_s: float, cwd: Path | None = None, env: dict[str, str] | None = None) -> Completed:
    """Run to the end or to the limit, without a shell and without standard input.

    A process that not even SIGKILL ends, as in a hung driver call, is left behind. Raises OSError when the program
    cannot be started at all.
    """
    process = subprocess.Popen(
        args,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as late:
        end_group(process)
        return Completed(tuple(args), None, _text(late.stdout), _text(late.stderr))
    except BaseException:
        end_group(process)
        raise
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return Completed(tuple(args), process.returncode, stdout, stderr)


def _text(output: bytes | str | None) -> str:
    """What was read before the limit: bytes even where text was asked for."""
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def _speaking(args: list[str], env: dict[str, str], *, stderr: int) -> "subprocess.Popen[str]":
    """A process in a group of its own, whose lines are read as they come."""
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
    """Run to the end or to the limit, handing over each line as it comes; the exit code, -9 when it was killed."""
    with _speaking(args, env, stderr=subprocess.STDOUT) as process:
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
    """Run for as long as each next line comes within `wait_s()`; False when it did not and the process was killed."""
    lines: queue.Queue[str | None] = queue.Queue()
    with _speaking(args, env, stderr=subprocess.DEVNULL) as process:

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
    """Run a short program that reads `content` on standard input. Raises OSError when it cannot be started."""
    try:
        done = subprocess.run(args, input=content, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return Completed(tuple(args), None, "", "")
    return Completed(
        tuple(args), done.returncode, *(each.decode(errors="replace") for each in (done.stdout, done.stderr))
    )


def foreground(args: list[str], say: Callable[[str], None]) -> Completed:
    """Run a program that may ask its user for something on the terminal, such as a passphrase or a touch of a key.

    What it complains of is told at once, line by line, and kept. It has no time limit: a person decides.
    """
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as child:
        lines = []
        for line in child.stdout or ():
            lines.append(line)
            say(line.rstrip("\n"))
    return Completed(tuple(args), child.returncode, "", "".join(lines))


def start(args: list[str], *, output: IO[bytes], cwd: Path, env: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a long-lived command in a process group of its own, its output going to a file."""
    return subprocess.Popen(
        args,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end_group(process: "subprocess.Popen[bytes] | subprocess.Popen[str]", grace_s: float = 10.0) -> bool:
    """Kill a process with its whole group and all that it has started; False when it is still there after `grace_s`.

    That happens in a hung driver call. What it has started may lead a group of its own: `run` sees to that.
    """
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
    """Kill all that this process has started, and what that has started, whatever group it leads."""
    for group in _groups_below(os.getpid()):
        _signal(group, signal.SIGKILL)


def signal_group(process: "subprocess.Popen[bytes] | subprocess.Popen[str]", number: signal.Signals) -> None:
    """Signal a process group that `start` made; one that is gone already is no error."""
    _signal(process.pid, number)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _groups_below(pid: int) -> set[int]:
    """The process groups of all that a process has started, as far as the kernel says."""
    groups: set[int] = set()
    waiting = [pid]
    while waiting:
        for listing in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it ended while we looked
                children = [int(child) for child in listing.read_text(encoding="ascii").split()]
                waiting.extend(children)
                groups.update(os.getpgid(child) for child in children)
    return groups - {os.getpgid(0)}
