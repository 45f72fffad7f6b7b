"""The end of the engine's own log, and what it says about an engine that does not start."""

from dgxcert import command
from dgxcert.container.engine_kind import DESKTOP, DOCKER, PODMAN, ROOTLESS, SNAP, EngineKind
from dgxcert.probes.host.engine import cause, daemon_errors
from dgxcert.probes.host.engine.cause import Found

LIMIT_S = 3.0
LINES = 60
UNITS = {
    DOCKER.name: ("-u", "docker"),
    SNAP.name: ("-u", "snap.docker.dockerd"),
    PODMAN.name: ("-u", "podman"),
    ROOTLESS.name: ("--user", "-u", "docker"),
    DESKTOP.name: ("--user", "-u", "docker-desktop"),
}
TELLING = ("fatal", "failed", "unable", "error", "flag:")
"""A line without any of these words gives no reason; the engine logs many that only look like one."""


def read(kind: EngineKind) -> str:
    """The last lines of this boot; empty where there is no journal or this user may not read it."""
    args = ["journalctl", *UNITS[kind.name], "-b", "-n", str(LINES), "-o", "cat", "--no-pager"]
    try:
        done = command.run(args, timeout_s=LIMIT_S)
    except OSError:  # no systemd
        return ""
    return done.stdout if done.returncode == 0 else ""


def why_it_does_not_start(log: str, kind: EngineKind) -> Found | None:
    r"""The newest known reason in a log.

    >>> log = "Starting up\nunable to configure the Docker daemon with file /etc/docker/daemon.json: unexpected EOF\n"
    >>> why_it_does_not_start(log, DOCKER).meaning
    '/etc/docker/daemon.json is no valid JSON for the engine: unexpected EOF'
    """
    telling = [line for line in log.splitlines() if any(word in line.lower() for word in TELLING)]
    causes = daemon_errors.CAUSES
    return next((found for line in reversed(telling) if (found := cause.find(line, causes, kind))), None)
