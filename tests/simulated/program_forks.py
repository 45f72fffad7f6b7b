"""Programs of dgxcert as forks of one process that has their modules loaded, as `python -P -m MODULE` runs them.

The process that forks has one thread and has not imported huggingface_hub, which reads its settings from the
environment when it is imported. What such a program starts of dgxcert itself is forked too. Its arguments are written
to a file that the caller names, since /proc shows those of the process that forks.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgxcert import command

PROGRAMS = {
    "dgxcert.probes.hub": "dgxcert.probes.hub.diagnosis",
    "dgxcert.probes.hub.steps": "dgxcert.probes.hub.steps",
    "dgxcert.probes.hub.download": "dgxcert.probes.hub.download",
    "dgxcert.probes.hub.cache.trial": "dgxcert.probes.hub.cache.trial",
    "dgxcert.probes.hub.access.repository": "dgxcert.probes.hub.access.repository",
}
"""The module of each program that has its `main`."""
LOADED_TOO = ("httpx", "requests", "yaml", "typing_extensions", "packaging.version", "concurrent.futures", "uuid")
"""What huggingface_hub imports and reads no variable for when it is imported."""
OPEN_FILES = 256


@dataclass(frozen=True)
class Forks:
    """The process that forks, by the socket at which it is asked."""

    address: str

    def run(
        self, program: str, *, env: Mapping[str, str], cwd: Path, arguments: Path, timeout_s: float
    ) -> command.Completed:
        """As `command.run` of `python -P -m PROGRAM` in an environment and a folder; no output where it was killed."""
        out, err = cwd / "forked.out", cwd / "forked.err"
        asked = {"program": program, "env": dict(env), "cwd": str(cwd), "arguments": str(arguments)}
        with socket.socket(socket.AF_UNIX) as asking, asking.makefile("rw") as talk:
            asking.connect(self.address)
            talk.write(json.dumps({**asked, "out": str(out), "err": str(err)}) + "\n")
            talk.flush()
            pid = int(talk.readline())
            asking.settimeout(timeout_s)
            try:
                ended = talk.readline()
            except TimeoutError:
                os.killpg(pid, signal.SIGKILL)
                return command.Completed((program,), None, "", "")
        code = int(ended) if ended else -signal.SIGKILL
        return command.Completed((program,), code, out.read_text("utf-8"), err.read_text("utf-8"))


@contextmanager
def forking() -> Iterator[Forks]:
    """Fork the process that forks, from a process with one thread; it ends with this one."""
    with tempfile.TemporaryDirectory(prefix="forks-") as folder, socket.socket(socket.AF_UNIX) as listener:
        address = f"{folder}/asked"
        listener.bind(address)
        listener.listen(64)
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            command.die_with_parent(parent)
            _serve(listener)
        listener.close()
        try:
            yield Forks(address)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _serve(listener: socket.socket) -> None:
    for name in PROGRAMS.values():
        importlib.import_module(name)
    for name in LOADED_TOO:
        with contextlib.suppress(ImportError):  # huggingface_hub is of a release that does without
            importlib.import_module(name)
    gc.disable()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asking, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(asking)
        asking.close()


def _answer(asking: socket.socket) -> None:
    os.setsid()
    talk = asking.makefile("rw")
    asked = json.loads(talk.readline())
    talk.write(f"{os.getpid()}\n")
    talk.flush()
    os.chdir(asked["cwd"])
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    ForkedPopen.told = asked["arguments"]
    subprocess.Popen = ForkedPopen  # type: ignore[misc]  # for what the program starts
    code = _main([sys.executable, "-P", "-m", asked["program"]], asked["env"])
    talk.write(f"{code}\n")
    talk.flush()
    os._exit(0)


def _main(args: list[str], env: Mapping[str, str]) -> int:
    """Run a program in this process, as Python runs it with `-P -m`; its exit code."""
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None
    sys.argv = args[3:]
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 (until the process ends)
    for name, number in (("stdout", 1), ("stderr", 2)):
        setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False, buffering=1))  # noqa: SIM115 (as above)
    code = 0
    try:
        importlib.import_module(PROGRAMS[args[3]]).main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    return code


class ForkedPopen(subprocess.Popen):  # type: ignore[type-arg]  # of text or bytes, as its parent
    """A Popen that forks where it is asked for a program of dgxcert."""

    told = ""
    """The file to which arguments are written."""

    def _execute_child(self, args: Any, *given: Any) -> None:
        if not isinstance(args, list) or args[1:3] != ["-P", "-m"] or args[3] not in PROGRAMS:
            super()._execute_child(args, *given)  # type: ignore[misc]  # private, and there since Python 3.2
            return
        _, _, _, _, cwd, env, _, _, _, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_ = given
        with Path(self.told).open("a", encoding="utf-8") as file:
            file.write(f"{' '.join(args)}\n")
        self.pid = os.fork()
        if self.pid == 0:
            self._be(args, env if env is not None else dict(os.environ), cwd, (p2cread, c2pwrite, errwrite))
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]

    def _be(self, args: list[str], env: Mapping[str, str], cwd: Path | None, ends: tuple[int, int, int]) -> None:
        code = 1
        try:
            os.setsid()
            if cwd is not None:
                os.chdir(cwd)
            for number, descriptor in enumerate(ends):
                if descriptor != -1:
                    os.dup2(descriptor, number)
            os.closerange(3, OPEN_FILES)
            code = _main(args, env)
        finally:
            os._exit(code)
