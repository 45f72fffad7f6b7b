"""Ranks forked from a process that has loaded what they need: torch's launcher takes 10 s of processor for two.

    python -P forked_ranks.py SOCKET PARENT

What `launch` and `process` do is done by the real ones, in a process group of its own for each launch, whose processes
die with it. Only torch's launcher is replaced; tests/workloads/distributed/test_launch.py has cases with it.
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from dgxcert import command
from dgxcert.workloads.distributed import agent, process
from dgxcert.workloads.distributed.task import Task

LOADED = (
    "torch.distributed",
    "transformers.models.llama.modeling_llama",
    "peft",
    "dgxcert.workloads.burn_in.together",
    "dgxcert.workloads.distributed.proof",
    "dgxcert.workloads.distributed.speed",
    "dgxcert.workloads.training.data_parallel.lora_steps",
)
"""Loaded before any fork. No work may run there: threads of torch do not survive a fork."""
START_S = 120
POLL_S = 0.01


class Launched:
    """A launch, with the part of Popen's interface that `launch` uses."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line.makefile("r", encoding="utf-8")
        self.returncode: int | None = None
        self.pid = int(self._line.readline())
        line.setblocking(False)
        self._socket = line

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        if self.returncode is None:
            with contextlib.suppress(BlockingIOError):
                self.returncode = int(self._socket.recv(16))
                self._line.close()
                self._socket.close()
        return self.returncode

    def wait(self, limit_s: float) -> int:
        """The exit code. Raises what Popen raises at the limit."""
        deadline = time.monotonic() + limit_s
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired([agent.__name__], limit_s)
            time.sleep(POLL_S)
        return code


@contextlib.contextmanager
def loaded() -> Iterator[Callable[..., Any]]:
    """A process that has torch loaded: what starts a launch in place of `command.start`."""
    with tempfile.TemporaryDirectory(prefix="loaded-") as folder:
        path = Path(folder, "socket")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        server = subprocess.Popen([sys.executable, "-P", __file__, str(path), str(os.getpid())], env=environment)
        try:
            _wait_for(path, server)
            yield lambda *given, **named: _started(path, *given, **named)
        finally:
            server.terminate()
            server.wait()


def _wait_for(path: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while not path.exists():
        assert server.poll() is None, "the process that loads torch has ended"
        assert time.monotonic() < deadline, f"torch was not loaded within {START_S} s"
        time.sleep(POLL_S)


def _started(path: Path, args: list[str], *, output: IO[bytes], cwd: Path, env: Mapping[str, str]) -> Any:
    if args[1:4] != ["-P", "-m", agent.__name__]:
        return START(args, output=output, cwd=cwd, env={**env})
    line = socket.socket(socket.AF_UNIX)
    line.connect(str(path))
    line.sendall(f"{json.dumps({'folder': str(cwd), 'output': output.name, 'env': {**env}})}\n".encode())
    return Launched(line)


def serve(path: Path) -> None:
    """Load, then fork for each launch that is asked for, until this process is ended."""
    for name in LOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, _reap)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{path}.new")
        listening.listen()
        os.rename(f"{path}.new", path)
        while True:
            line, _ = listening.accept()
            _forked(partial(_launch, line))
            line.close()


def _reap(_number: int, _frame: object) -> None:
    """Take note of each launch that has ended: a zombie would count as a process that is left."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _launch(line: socket.socket) -> int:
    """Fork what stands for torch's launcher, and tell how it ends."""
    with line, line.makefile("r", encoding="utf-8") as said:
        given = json.loads(said.readline())
        pid = _forked(lambda: _as_agent(line, Path(given["folder"]), Path(given["output"]), given["env"]))
        code = _code(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):  # nobody waits any more
            line.sendall(str(code).encode())
    return 0


def _as_agent(line: socket.socket, folder: Path, output: Path, environment: Mapping[str, str]) -> int:
    """Fork the ranks and wait for them, as torch's launcher does: where one fails, the others are ended."""
    os.setsid()
    line.sendall(f"{os.getpid()}\n".encode())
    os.chdir(folder)
    _to_file(output, 1, 2)
    task = Task.read(folder)
    os.environ.clear()
    os.environ.update(environment, **_meeting(task), WORLD_SIZE=str(len(task.devices)))
    sys.path[1:1] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    running = {_forked(partial(_as_rank, folder, rank.index)): rank.index for rank in task.here}
    failed: dict[str, int] = {}
    while running:
        pid, status = os.wait()
        rank = running.pop(pid)
        if _code(status) and not failed:
            failed[str(rank)] = _code(status)
            for other in running:
                os.kill(other, signal.SIGTERM)
    (folder / agent.EXITS).write_text(json.dumps(failed), encoding="utf-8")
    return 0


def _meeting(task: Task) -> dict[str, str]:
    """Where the ranks meet."""
    if task.meeting is not None:
        return {"MASTER_ADDR": task.meeting.address, "MASTER_PORT": str(task.meeting.port)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}


def _as_rank(folder: Path, rank: int) -> int:
    logs = folder / "logs" / "forked" / "attempt_0" / str(rank)
    logs.mkdir(parents=True)
    for number, name in ((1, "stdout"), (2, "stderr")):
        _to_file(logs / f"{name}.log", number)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    return process.main(folder)


def _to_file(path: Path, *numbers: int) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in numbers:
        os.dup2(opened, number)
    os.close(opened)


def _forked(work: Callable[[], int]) -> int:
    """Fork a process that dies with this one; its exit code is what `work` returns."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        command.die_with_parent(parent)
        code = work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _code(status: int) -> int:
    return os.waitstatus_to_exitcode(status)


START = command.start

if __name__ == "__main__":
    command.die_with_parent(int(sys.argv[2]))
    serve(Path(sys.argv[1]))
