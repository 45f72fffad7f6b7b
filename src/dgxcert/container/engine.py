"""The engine's command-line clients: which `docker` builds, which `compose` runs, and which endpoint both reach."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache

from dgxcert import command
from dgxcert.outcome import CannotStart

ASK_S = 10.0
CONTEXT_S = 3.0
QUESTION_S = 9.0

NOWHERE = "unix:///dev/null/no-engine"
"""Some clients ask the engine even to say their own version, and wait for one that is silent: here they need not."""

FIRST_WITHOUT_BUILDKIT = 23
"""From this release on Docker's CLI builds with BuildKit through its buildx plugin only."""


@cache
def docker() -> str:
    """A Docker CLI that can build with BuildKit: Debian's has it built in, newer ones need their buildx.

    Raises CannotStart when none is on the PATH.
    """
    looked = []
    for path in _on_path("docker"):
        if 0 < _major(path) < FIRST_WITHOUT_BUILDKIT or _answers([path, "buildx", "version"]):
            return path
        looked.append(path)
    found = f"found {', '.join(looked)} without buildx" if looked else "found no `docker` on the PATH"
    raise CannotStart(
        f"Wanted a Docker CLI that builds with BuildKit, {found}.",
        "Install Docker Engine with its buildx plugin, or Debian's docker.io; without containers: RUNTIME=native",
    )


@cache
def compose() -> tuple[str, ...]:
    """The compose to call: the plugin of a Docker CLI, else the older `docker-compose` of its own.

    Raises CannotStart when there is neither.
    """
    candidates = [
        *((path, "compose") for path in _on_path("docker")),
        *((path,) for path in _on_path("docker-compose")),
    ]
    for candidate in candidates:
        if _answers([*candidate, "version"]):
            return candidate
    raise CannotStart(
        "Wanted `docker compose` (or `docker-compose` 1.29 or newer), found neither.",
        "Install it: sudo apt install docker-compose-plugin (Docker's packages), docker-compose-v2 (Ubuntu) "
        "or docker-compose (Debian)",
    )


@cache
def endpoint() -> str:
    """Where the clients reach the engine: DOCKER_HOST, else the current context's address."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    inspect = [docker(), "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    asked = command.run(inspect, timeout_s=CONTEXT_S)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def environment(**settings: str) -> dict[str, str]:
    """The environment of a client: this one, without what would lead compose to other files, and with one endpoint."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    return {**kept, **({"DOCKER_HOST": endpoint()} if endpoint() else {}), "DOCKER_BUILDKIT": "1", **settings}


def ask(*args: str, timeout_s: float = ASK_S) -> command.Completed:
    """A short question to the engine through the CLI."""
    return command.run([docker(), *args], timeout_s=timeout_s, env=environment())


def question() -> command.Completed:
    """Let the probe ask the engine in a process of its own; it prints an engine, or what is in the way, as JSON.

    A socket that takes a question and never answers must not take us along.
    """
    return command.run([sys.executable, "-P", "-m", "dgxcert.probes.host.docker_engine"], timeout_s=QUESTION_S)


def trouble() -> tuple[str, str]:
    """Why the engine does not answer and what to do, as its probe says; empty where it answers or says nothing."""
    asked = question()
    if asked.timed_out:
        return "it takes the question and says nothing", "Start it anew: sudo systemctl restart docker"
    try:
        said = json.loads(asked.stdout)
    except ValueError:
        return "", "Ask it by hand: docker version"
    steps = said.get("remedy", ("docker version",))
    return str(said.get("found", "")), "".join(f"\n  {step}" for step in steps)


def _answers(args: list[str]) -> bool:
    return _without_engine(args).returncode == 0


def _without_engine(args: list[str]) -> command.Completed:
    return command.run(args, timeout_s=ASK_S, env={**os.environ, "DOCKER_HOST": NOWHERE})


def _major(path: str) -> int:
    """20 of `Docker version 20.10.24+dfsg1, build 297e128`; 0 where it says something else."""
    version = _without_engine([path, "--version"]).stdout
    return int("".join(_digits(version.removeprefix("Docker version "))) or 0)


def _digits(text: str) -> Iterator[str]:
    for letter in text:
        if not letter.isdigit():
            return
        yield letter


def _on_path(program: str) -> list[str]:
    """Every program of that name on the PATH, in order, links to the same file once."""
    found: dict[str, str] = {}
    for folder in os.get_exec_path():
        path = shutil.which(program, path=folder)
        if path:
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())
