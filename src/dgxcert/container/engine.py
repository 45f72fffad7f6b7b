"""The engine's command-line clients: which `docker` builds, which `compose` runs, and which endpoint both reach."""

import os
import shutil
from functools import cache
from itertools import takewhile

from dgxcert import command
from dgxcert.outcome import CannotStart

COMMAND_S = 10.0
CONTEXT_S = 3.0

NO_ENGINE = "unix:///dev/null/no-engine"
"""An endpoint that fails at once. Debian's docker.io contacts the engine even for its own version, and would wait
for one that does not answer."""

FIRST_WITHOUT_BUILDKIT = 23
"""From this release on Docker's CLI builds with BuildKit through its buildx plugin only."""


@cache
def docker() -> str:
    """A Docker CLI that can build with BuildKit: Debian's has it built in, newer ones need their buildx.

    Raises CannotStart when none is on the PATH.
    """
    rejected = []
    for path in _on_path("docker"):
        if 0 < _major(path) < FIRST_WITHOUT_BUILDKIT or _succeeds([path, "buildx", "version"]):
            return path
        rejected.append(path)
    found = f"found {', '.join(rejected)} without buildx" if rejected else "found no `docker` on the PATH"
    raise CannotStart(
        f"Wanted a Docker CLI that builds with BuildKit, {found}.",
        "Install the plugin where Docker's own packages are, as on DGX OS: sudo apt install docker-buildx-plugin",
        "To run without containers, which certifies nothing: make validate RUNTIME=native",
    )


@cache
def compose() -> tuple[str, ...]:
    """The compose command: the plugin of a Docker CLI, else the older, separate `docker-compose`.

    Raises CannotStart when there is neither.
    """
    candidates = [
        *((path, "compose") for path in _on_path("docker")),
        *((path,) for path in _on_path("docker-compose")),
    ]
    for candidate in candidates:
        if _succeeds([*candidate, "version"]):
            return candidate
    raise CannotStart(
        "Wanted `docker compose` (or `docker-compose` 1.29 or newer), found neither.",
        "Install it where Docker's own packages are, as on DGX OS: sudo apt install docker-compose-plugin",
        "Install it on Ubuntu: sudo apt install docker-compose-v2; on Debian: sudo apt install docker-compose",
    )


@cache
def endpoint() -> str:
    """Where the clients reach the engine: DOCKER_HOST, else the current context's address."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    inspect = [docker(), "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    context = command.run(inspect, timeout_s=CONTEXT_S)
    return context.stdout.strip() if context.returncode == 0 else ""


def environment(**settings: str) -> dict[str, str]:
    """The environment of a client: this process's, without settings of compose, with BuildKit and one endpoint."""
    # COMPOSE_FILE and its like would make compose read other files than this checkout's.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    # With the endpoint spelled out, no client resolves Docker's contexts by rules of its own.
    host = {"DOCKER_HOST": endpoint()} if endpoint() else {}
    return {**kept, **host, "DOCKER_BUILDKIT": "1", **settings}


def run(*args: str, timeout_s: float = COMMAND_S) -> command.Completed:
    """Run a short `docker` command, such as `run("image", "inspect", "dgxcert:course")`."""
    return command.run([docker(), *args], timeout_s=timeout_s, env=environment())


def _succeeds(args: list[str]) -> bool:
    return _without_engine(args).returncode == 0


def _without_engine(args: list[str]) -> command.Completed:
    return command.run(args, timeout_s=COMMAND_S, env={**os.environ, "DOCKER_HOST": NO_ENGINE})


def _major(path: str) -> int:
    """The major version of a Docker CLI; 0 where it cannot be read."""
    return parse_major(_without_engine([path, "--version"]).stdout)


def parse_major(version: str) -> int:
    """The major version from what `docker --version` prints; 0 for anything else.

    >>> parse_major("Docker version 20.10.24+dfsg1, build 297e128")
    20
    >>> parse_major("podman version 4.9.3")
    0
    """
    return int("".join(takewhile(str.isdigit, version.removeprefix("Docker version "))) or 0)


def _on_path(program: str) -> list[str]:
    """Every program of that name on the PATH, in order; links to the same file count once."""
    paths: dict[str, str] = {}
    for folder in os.get_exec_path():
        path = shutil.which(program, path=folder)
        if path:
            paths.setdefault(os.path.realpath(path), path)
    return list(paths.values())
