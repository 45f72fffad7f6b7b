"""Launchers: how a stage's child process is started and killed, and what its exit code means."""

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO

from dgxcert import command
from dgxcert.container import engine
from dgxcert.machine.image import Image
from dgxcert.plan import suite

GRACE_S = 10.0
PROXIES = ("HTTPS_PROXY", "NO_PROXY")
CA_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
CA_BUNDLE_INSIDE = "/run/secrets/authority"
"""Where the container finds the CA certificates that its user trusts."""
INSIDE = "/results"
"""Where the container finds the one folder of the run that it sees."""

FIRST_SIGNAL = 128
"""A container whose process was killed by signal N exits with 128 + N."""


class Launcher(ABC):
    """A place where the supervisor's children run."""

    @abstractmethod
    def start(self, child: int, inside: Path, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a child that may write in `inside`, with pipes for its channel; what it prints goes to a file."""

    @abstractmethod
    def end(self, process: "subprocess.Popen[bytes]", grace_s: float) -> bool:
        """Kill the child and everything that it started; False where it still exists after `grace_s`."""

    @abstractmethod
    def death(self, returncode: int, log: Path) -> tuple[str, bool]:
        """A description of how a child ended, and whether SIGKILL ended it."""


class Here(Launcher):
    """Children run in this environment."""

    def start(self, child: int, inside: Path, output: IO[bytes]) -> "subprocess.Popen[bytes]":  # noqa: ARG002
        args = suite.stage_command(suite.root(), inside.resolve(), parent=os.getpid())
        return command.start_piped(args, output=output, cwd=suite.root(), env=suite.environment())

    def end(self, process: "subprocess.Popen[bytes]", grace_s: float) -> bool:
        return command.end_group(process, grace_s)

    def death(self, returncode: int, log: Path) -> tuple[str, bool]:  # noqa: ARG002 (the exit code is sufficient)
        return _ending(returncode)


class InContainer(Launcher):
    """Children run in the compose service, each in a container of its own.

    No container outlives its run: it is removed by name when its child ends or is killed, and the process inside kills
    itself when its standard input ends, as it does with this process.
    """

    def __init__(self, image: Image, service: str, token: Path) -> None:
        self._image = image
        self._service = service
        self._token = token
        self._name = ""

    def start(self, child: int, inside: Path, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        self._name = f"dgxcert-{os.getpid()}-{child}"
        args = [*engine.compose(), "-p", "dgxcert", "-f", str(suite.root() / "compose.yaml")]
        ca_options = [word for name in CA_BUNDLES if _ca_bundle() for word in ("-e", f"{name}={CA_BUNDLE_INSIDE}")]
        args += ["run", "--rm", "-T", "--name", self._name, *ca_options, self._service, "stage", INSIDE]
        settings = engine.environment(**self._settings(inside))
        return command.start_piped(args, output=output, cwd=suite.root(), env=settings)

    def _settings(self, inside: Path) -> dict[str, str]:
        """The variables of compose.yaml."""
        return {
            **{name: os.environ.get(name) or os.environ.get(name.lower()) or "" for name in PROXIES},
            "DGXCERT_IMAGE": self._image.id,
            "DGXCERT_UID": str(os.getuid()),
            "DGXCERT_GID": str(os.getgid()),
            "DGXCERT_RESULTS": str(inside.resolve()),
            "HF_TOKEN_FILE": str(self._token),
            **({"DGXCERT_AUTHORITY": bundle} if (bundle := _ca_bundle()) else {}),
        }

    def end(self, process: "subprocess.Popen[bytes]", grace_s: float) -> bool:
        removed = self._remove()  # first: killing the compose client leaves its container running
        return command.end_group(process, grace_s) and removed

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
    """The last line of a log: there compose and the engine print why a container did not start."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][-400:] if lines else "it printed nothing"
