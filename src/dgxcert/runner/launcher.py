"""Launchers: how a stage's child process is started, ended for good, and what its exit code means."""

import os
import signal
import subprocess
from pathlib import Path
from typing import IO, Protocol

from dgxcert import command
from dgxcert.container import engine
from dgxcert.machine.image import Image
from dgxcert.plan import suite

GRACE_S = 10.0
PROXIES = ("HTTPS_PROXY", "NO_PROXY")
AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
TRUSTED_INSIDE = "/run/secrets/authority"
"""Where the container finds the certificates that its user trusts."""

FIRST_SIGNAL = 128
"""A container whose process was killed by signal N ends with 128 + N."""


class Launcher(Protocol):
    """What the supervisor needs of a place where children run."""

    def start(self, stage: str, attempt: int, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a child; its output goes to a file."""

    def end(self, process: "subprocess.Popen[bytes]", grace_s: float) -> bool:
        """Kill the child with all that it has started; False when it is still there after `grace_s`."""

    def death(self, returncode: int, log: Path) -> tuple[str, bool]:
        """How a child ended, in words, and whether it was killed by SIGKILL."""


class Here:
    """Children run in this very environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, stage: str, attempt: int, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        """See Launcher."""
        args = suite.stage_command(suite.root(), self._folder.resolve(), stage, attempt, parent=os.getpid())
        return command.start(args, output=output, cwd=suite.root(), env=suite.environment())

    def end(self, process: "subprocess.Popen[bytes]", grace_s: float) -> bool:
        """See Launcher."""
        return command.end_group(process, grace_s)

    def death(self, returncode: int, log: Path) -> tuple[str, bool]:  # noqa: ARG002 (all is in the code)
        """See Launcher."""
        return _in_words(returncode)


class InContainer:
    """Children run in the compose service, each in a container of its own.

    The container must not outlive anything: it is removed by name when its child has ended or is ended, and the
    process inside ends by itself when this one is gone (`session.die_with_supervisor`).
    """

    def __init__(self, folder: Path, image: Image, service: str, token: Path) -> None:
        self._folder = folder.resolve()
        self._image = image
        self._service = service
        self._token = token
        self._name = ""

    def start(self, stage: str, attempt: int, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        """See Launcher."""
        self._name = f"dgxcert-{os.getpid()}-{attempt}"
        args = [*engine.compose(), "-p", "dgxcert", "-f", str(suite.root() / "compose.yaml")]
        authority = _authority()
        trusting = [word for name in AUTHORITIES if authority for word in ("-e", f"{name}={TRUSTED_INSIDE}")]
        args += ["run", "--rm", "-T", "--name", self._name, *trusting, self._service]
        args += ["stage", stage, "--run", f"/results/{self._folder.name}", "--attempt", str(attempt)]
        return command.start(args, output=output, cwd=suite.root(), env=engine.environment(**self._settings()))

    def _settings(self) -> dict[str, str]:
        """What compose.yaml asks for."""
        return {
            **{name: os.environ.get(name) or os.environ.get(name.lower()) or "" for name in PROXIES},
            "DGXCERT_IMAGE": self._image.id,
            "DGXCERT_UID": str(os.getuid()),
            "DGXCERT_GID": str(os.getgid()),
            "DGXCERT_RESULTS": str(self._folder.parent),
            "HF_TOKEN_FILE": str(self._token),
            **({"DGXCERT_AUTHORITY": authority} if (authority := _authority()) else {}),
        }

    def end(self, process: "subprocess.Popen[bytes]", grace_s: float) -> bool:
        """See Launcher."""
        gone = self._remove()
        return command.end_group(process, grace_s) and gone

    def _remove(self) -> bool:
        try:
            removed = engine.run("rm", "--force", self._name)
        except OSError:
            return False
        return removed.returncode == 0 or "No such container" in removed.stderr

    def death(self, returncode: int, log: Path) -> tuple[str, bool]:
        """See Launcher."""
        if FIRST_SIGNAL < returncode <= FIRST_SIGNAL + signal.SIGRTMAX:
            return _in_words(FIRST_SIGNAL - returncode)
        words, killed = _in_words(returncode)
        return f"{words} ({_last_words(log)})" if returncode else words, killed


def _authority() -> str:
    """The file of certificates that the user trusts; empty where none is named."""
    named = (os.environ.get(name, "") for name in AUTHORITIES)
    return next((os.path.realpath(path) for path in named if os.path.isfile(path)), "")


def _in_words(returncode: int) -> tuple[str, bool]:
    if returncode >= 0:
        return f"its process ended with exit code {returncode}", False
    number = -returncode
    known = {each.value: each.name for each in signal.Signals}  # real-time signals have no names
    return f"its process was killed by {known.get(number, f'signal {number}')}", number == signal.SIGKILL


def _last_words(log: Path) -> str:
    """The last line of a log: compose and the engine say there why a container did not start."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][-400:] if lines else "it printed nothing"
