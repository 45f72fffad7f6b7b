"""Forks: the processes of a run and of driver queries, without starting Python and importing torch each time."""

import contextlib
import io
import json
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from simulated import gpu_clock

from dgxcert import command
from dgxcert.plan import suite
from dgxcert.plan.selection import Planned
from dgxcert.probes.gpu import cuda_start, driver_answers
from dgxcert.runner.launcher import Launcher

Output = IO[bytes] | io.FileIO


class Forked:
    """A forked process with the part of Popen's interface that the supervisor uses."""

    def __init__(self, work: Callable[[], int], output: Output, errors: Output, given: int | None = None) -> None:
        """`given` is a descriptor that becomes standard input."""
        self.returncode: int | None = None
        self.args: list[str] = []
        self.stdin: io.FileIO | None = None
        self.stdout: io.FileIO | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                os.setsid()
                for number, descriptor in ((0, given), (1, output.fileno()), (2, errors.fileno())):
                    if descriptor is not None:
                        os.dup2(descriptor, number)
                code = work()
            finally:
                os._exit(code)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


SILICON = "simulated.silicon"


class Forking(Launcher):
    """A launcher that forks its children, which collect only the checks that they run."""

    def __init__(self, entries: list[Planned], plugins: tuple[str, ...] = (SILICON,)) -> None:
        self._plugins = [word for name in plugins for word in ("-p", name)]
        self._checks = sorted({entry.nodeid.partition("::")[0] for entry in entries})

    def start(self, child: int, inside: Path, output: IO[bytes]) -> Any:
        import pytest

        made = suite.stage_command(suite.root(), inside.resolve(), parent=os.getpid())
        options = [word for word in made[made.index("pytest") + 1 :] if not Path(word).is_dir()]

        def work() -> int:
            for mine in (to_child, from_child):
                mine.close()  # or it would never see the end of its own standard input
            return int(pytest.main([*options, *self._plugins, *self._checks]))

        (given, to), (from_, said) = os.pipe(), os.pipe()
        to_child, from_child = io.FileIO(to, "wb"), io.FileIO(from_, "rb")
        with io.FileIO(said, "wb") as says:
            process = Forked(work, says, output, given)
        os.close(given)
        process.stdin, process.stdout = to_child, from_child
        return process

    def end(self, process: Any, grace_s: float) -> bool:
        return command.end_group(process, grace_s)

    def death(self, returncode: int, log: Path) -> tuple[str, bool]:
        return f"its process ended with {returncode}", returncode == -signal.SIGKILL


def collected_by_fork(args: list[str], *, timeout_s: float, **other: Any) -> command.Completed:
    """`command.run`, with the checks collected by a fork of this process, which has them loaded."""
    if args[1:4] != ["-P", "-m", "pytest"]:
        return RUN(args, timeout_s=timeout_s, **other)
    import pytest

    return _forked(args, lambda _output: int(pytest.main(args[4:])), timeout_s)


def answered_here(args: list[str], *, timeout_s: float, **other: Any) -> command.Completed:
    """`command.run`, with driver queries answered without starting Python.

    A query that may hang or crash is answered by a fork, which is a process of its own too. So is one about processes,
    which asks who its parent is. Any other is answered by this process, a hundred times faster.
    """
    answer = ANSWERS.get(args[3]) if args[1:3] == ["-P", "-m"] else None
    if answer is None:
        return RUN(args, timeout_s=timeout_s, **other)
    if answer is not driver_answers.main or {*args} & {*driver_answers.PROCESSES} or _may_end_its_caller():
        return _answered_by_fork(args, answer, timeout_s)
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        said = json.dumps(answer(*args[4:]))
    return command.Completed(tuple(args), 0, said, errors.getvalue())


def _may_end_its_caller() -> bool:
    table = Path(os.environ["SIMULATED_DRIVER"]).read_text(encoding="utf-8")
    return any(action in table for action in ENDS_ITS_CALLER)


def _answered_by_fork(args: list[str], answer: Callable[..., Any], timeout_s: float) -> command.Completed:
    def work(output: Output) -> int:
        output.write(json.dumps(answer(*args[4:])).encode())
        output.flush()
        return 0

    return _forked(args, work, timeout_s)


def _forked(args: list[str], work: Callable[[Output], int], timeout_s: float) -> command.Completed:
    """What a fork writes, as `command.run` returns it of a process."""
    with tempfile.TemporaryFile("w+b") as stdout, tempfile.TemporaryFile("w+b") as stderr:
        process = Forked(lambda: work(stdout), stdout, stderr)
        deadline = time.monotonic() + timeout_s
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        if process.poll() is None:
            command.end_group(process)  # type: ignore[arg-type]
            process.returncode = None
        stdout.seek(0)
        stderr.seek(0)
        return command.Completed(tuple(args), process.returncode, stdout.read().decode(), stderr.read().decode())


def started_by_fork(args: list[str], *, output: Output, cwd: Path, env: dict[str, str]) -> Any:
    """`command.start`, with a sampler forked, which starts ten times faster."""
    if args[1:4] != ["-P", "-m", SAMPLER]:
        return START(args, output=output, cwd=cwd, env=env)

    def work() -> int:
        sys.argv = args[3:]
        # pytest's own would keep the names of calls.
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", write_through=True)
        try:
            runpy.run_module(SAMPLER, run_name="__main__")
        except SystemExit as end:
            sys.stderr.write(f"{end.code}\n")
            return 1
        return 0

    process = Forked(work, output, output)
    gpu_clock.follow(int(args[4]), float(args[5]), Path(args[6]), lambda: process.poll() is None)
    return process


RUN, START = command.run, command.start
ENDS_ITS_CALLER = ("!hangs", "!crashes")
"""What the table of the simulated driver has for a call that never returns, or kills the process that makes it."""
SAMPLER = "dgxcert.probes.gpu.driver_samples"
ANSWERS: dict[str, Callable[..., Any]] = {
    "dgxcert.probes.gpu.driver_answers": driver_answers.main,
    "dgxcert.probes.gpu.cuda_start": cuda_start.start,
}
"""What answers in a fork, by the name of its program."""
