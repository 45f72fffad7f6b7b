"""Launchers: how a stage's child process is started and killed, and what its exit code means."""

import contextlib
import copy
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from dgxcert import command
from dgxcert.container import engine, handover, proxies
from dgxcert.container import limits as container_limits
from dgxcert.container.handover import Handover
from dgxcert.files.folder import Folder
from dgxcert.machine.image import Image
from dgxcert.outcome import CannotStart
from dgxcert.plan import own_checks, suite
from dgxcert.plan.own_checks import OwnChecks
from dgxcert.runner.lanes.host_share import WHOLE, Share

GRACE_S = 10.0
CA_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
CA_BUNDLE_INSIDE = "/run/secrets/authority"
"""Where the container finds the CA certificates that its user trusts."""
EXCHANGE = "/run/dgxcert"
"""Where the container finds what the host hands over, and cannot change it."""
INSIDE = "/results"
"""Where the container finds the one folder of the run that it sees."""
GPU = "gpu"
"""The service of compose.yaml that has the machine's GPUs."""
WATCH = "dgxcert.probes.gpu.sharing.watch"
"""A module of the probes, started by its name: it sees from outside who is on the GPUs."""
SEEN = "gpu-processes.jsonl"
"""What it sees, in the folder that the container finds at /run/dgxcert and cannot change."""
TAIL = 65536
"""Bytes at the end of a log that are read: the inside may print without end."""

STARTING = threading.Lock()
"""Containers of lanes are started one after another."""
THERE_S, POLL_S = 20.0, 0.1

FIRST_SIGNAL = 128
"""A container whose process was killed by signal N exits with 128 + N."""


class Launcher(ABC):
    """A place where the supervisor's children run."""

    @abstractmethod
    def start(self, child: int, inside: Path, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a child that may write in `inside`, with pipes for its channel; what it prints goes to a file."""

    def for_share(self, share: Share) -> "Launcher":  # noqa: ARG002 (only a container is given its share here)
        """The launcher of a lane, which has this share of the host; the share of the whole is this launcher's own."""
        return self

    @abstractmethod
    def end(self, process: "subprocess.Popen[bytes]", grace_s: float) -> bool:
        """Kill the child and everything that it started; False where it still exists after `grace_s`."""

    def resident_bytes(self, process: "subprocess.Popen[bytes]") -> int:
        """What the child has in memory, with all that it started."""
        return command.resident_bytes(process.pid)

    @abstractmethod
    def death(self, returncode: int, log: Path) -> tuple[str, bool]:
        """A description of how a child ended, and whether SIGKILL ended it."""


class Here(Launcher):
    """Children run in this environment."""

    def __init__(self, own: Path | None = None) -> None:
        """`own` is the folder of a lab's own checks, where the children measure these and nothing else."""
        self._own = own

    def start(self, child: int, inside: Path, output: IO[bytes]) -> "subprocess.Popen[bytes]":  # noqa: ARG002
        args = suite.stage_command(suite.root(), inside.resolve(), parent=os.getpid(), own=self._own)
        return command.start_piped(args, output=output, cwd=suite.root(), env=suite.environment(self._own))

    def end(self, process: "subprocess.Popen[bytes]", grace_s: float) -> bool:
        return command.end_group(process, grace_s)

    def death(self, returncode: int, log: Path) -> tuple[str, bool]:  # noqa: ARG002 (the exit code is sufficient)
        return _ending(returncode)


class InContainer(Launcher):
    """Children run in the compose service, each in a container of its own.

    No container outlives its run: it is removed by name when its child ends or is killed, and the process inside kills
    itself when its standard input ends, as it does with this process.
    """

    def __init__(
        self,
        image: Image,
        service: str,
        token: str,
        limits: Mapping[str, str],
        own: tuple[Path, OwnChecks] | None = None,
    ) -> None:
        """`token` is the Hub's, or ""; `limits` are variables of compose.yaml (`container.limits`).

        `own` is the folder of a lab's own checks and its version, where the children measure these and nothing else.
        """
        self._own = own
        self._image = image
        self._service = service
        self._handover = Handover(token, proxies.find())
        self._limits = limits
        self._share = WHOLE
        self._name = ""
        self._open = contextlib.ExitStack()
        """What lives as long as the child: the folder of its exchange with the host, and the watch."""

    def for_share(self, share: Share) -> Launcher:
        if share == WHOLE:
            return self
        own = copy.copy(self)
        own._share, own._limits = share, container_limits.shared(self._limits, share.lanes)
        own._name, own._open = "", contextlib.ExitStack()
        return own

    def start(self, child: int, inside: Path, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        self._name = f"{_names()}{child}"
        exchange = self._exchange()
        if self._service == GPU:
            self._open.callback(command.end_group, self._watch(exchange), 1.0)
        args = [*engine.compose(), "-p", "dgxcert", "-f", str(suite.root() / "compose.yaml")]
        ca_options = [word for name in CA_BUNDLES if _ca_bundle() for word in ("-e", f"{name}={CA_BUNDLE_INSIDE}")]
        args += ["run", "--rm", "-T", "--name", self._name, *ca_options, self._service, "stage", INSIDE]
        args += ["--own", f"{EXCHANGE}/{own_checks.INSIDE}"] if self._own else []
        settings = engine.environment(**self._settings(inside, exchange))
        with STARTING:
            process = command.start_piped(args, output=output, cwd=suite.root(), env=settings)
            if self._share.lanes > 1:
                self._await(process)
        return process

    def _await(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until the container is there: compose makes a missing network or volume, and fails where two do."""
        deadline = time.monotonic() + THERE_S
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if engine.run("inspect", "--type", "container", self._name).returncode == 0:
                    return
            time.sleep(POLL_S)

    def _exchange(self) -> Path:
        """A folder for this child, with mode 0700, in which token and proxies are offered. Raises CannotStart."""
        try:
            folder = Path(tempfile.mkdtemp(prefix="dgxcert-"))
            self._open.callback(shutil.rmtree, folder, ignore_errors=True)
            if self._own:
                own_checks.copy(self._own[0], folder / own_checks.INSIDE, self._own[1])
            handover.offer(folder, self._handover)
        except OSError as error:
            raise CannotStart(
                f"No folder takes temporary files ({error.strerror or error}).",
                "Free some space, or set TMPDIR to a folder that has some.",
            ) from error
        return folder

    def _watch(self, exchange: Path) -> "subprocess.Popen[bytes]":
        """Look from outside who is on the GPUs, in a process of its own: the driver can hang or crash its caller."""
        with Folder.opened(exchange) as folder:
            folder.create(SEEN).close()  # before the container starts, which takes it for the sign to ask there
        args = [sys.executable, "-P", "-m", WATCH, self._name, str(exchange / SEEN)]
        args += [_names()] if self._share.lanes > 1 else []
        with open(os.devnull, "wb") as nowhere:
            return command.start(args, output=nowhere, cwd=suite.root(), env=suite.environment())

    def _settings(self, inside: Path, exchange: Path) -> dict[str, str]:
        """The variables of compose.yaml."""
        return {
            **self._limits,
            "DGXCERT_IMAGE": self._image.id,
            "DGXCERT_UID": str(os.getuid()),
            "DGXCERT_GID": str(os.getgid()),
            "DGXCERT_RESULTS": str(inside.resolve()),
            "DGXCERT_EXCHANGE": str(exchange),
            "HF_TOKEN_FILE": "",  # a user's own file is not mounted: the token is handed over
            **({"DGXCERT_AUTHORITY": bundle} if (bundle := _ca_bundle()) else {}),
        }

    def end(self, process: "subprocess.Popen[bytes]", grace_s: float) -> bool:
        removed = self._remove()  # first: killing the compose client leaves its container running
        try:
            return command.end_group(process, grace_s) and removed
        finally:
            self._open.close()

    def resident_bytes(self, process: "subprocess.Popen[bytes]") -> int:
        """Of the container: `process` is only the client that waits for it; without an answer that of the client."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(engine.run("inspect", "--type", "container", "--format", "{{.State.Pid}}", self._name).stdout)
            if pid > 0:
                return command.resident_bytes(pid)
        return super().resident_bytes(process)

    def _remove(self) -> bool:
        try:
            removed = engine.run("rm", "--force", self._name)
        except OSError:
            return False
        return removed.returncode == 0 or "No such container" in removed.stderr

    def death(self, returncode: int, log: Path) -> tuple[str, bool]:
        if FIRST_SIGNAL < returncode <= FIRST_SIGNAL + signal.SIGRTMAX:
            return _ending(FIRST_SIGNAL - returncode)
        ending, sigkill = _ending(returncode)
        return f"{ending} ({_last_line(log)})" if returncode else ending, sigkill


def _names() -> str:
    """How the names of this run's containers begin."""
    return f"dgxcert-{os.getpid()}-"


def _ca_bundle() -> str:
    """The file of CA certificates that the user trusts; empty where none is set."""
    named = (os.environ.get(name, "") for name in CA_BUNDLES)
    return next((os.path.realpath(path) for path in named if os.path.isfile(path)), "")


def _ending(returncode: int) -> tuple[str, bool]:
    """A description of how a process ended, and whether SIGKILL ended it.

    >>> _ending(77), _ending(-9)
    (('its process ended with exit code 77', False), ('its process was killed by SIGKILL', True))
    """
    if returncode >= 0:
        return f"its process ended with exit code {returncode}", False
    number = -returncode
    known = {number.value: number.name for number in signal.Signals}  # real-time signals have no names
    return f"its process was killed by {known.get(number, f'signal {number}')}", number == signal.SIGKILL


def _last_line(log: Path) -> str:
    """The last line of a log: there compose and the engine print why a container did not start.

    Compose 1 prints the exit code after it.
    """
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        text = file.read(TAIL).decode("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().isdigit()]
    return lines[-1][-400:] if lines else "it printed nothing"
