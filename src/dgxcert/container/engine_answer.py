"""The engine's answer: what the container engine is, or what keeps it from answering, asked in a process of its own."""

import json
import os
import sys
from dataclasses import dataclass

from dgxcert import command
from dgxcert.container import engine_kind
from dgxcert.container.engine_kind import DOCKER, EngineKind
from dgxcert.machine.runtime import inside_container

LIMIT_S = 9.0
"""For the whole process: the probe asks three questions of at most 3 s each."""

FIRST_API_WITH_DEVICE_REQUESTS = 40
"""API 1.40 came with Docker 19.03. Compose and `docker run --gpus` need it to give GPUs to a container."""


@dataclass(frozen=True)
class Engine:
    """A container engine. API versions are the digits after `1.`, the only ones that ever change."""

    endpoint: str
    version: str
    api: int
    oldest_api: int
    sdk_api: int
    oldest_sdk_api: int
    architecture: str
    root: str
    """The folder that holds images and volumes, usually /var/lib/docker."""
    rootless: bool
    gpu_ways: tuple[str, ...]
    """Ways to give a GPU to a container, e.g. `CDI device nvidia.com/gpu=all`."""
    kind: EngineKind = DOCKER
    image_store: str = ""
    """The folder of containerd, where the engine keeps its images there."""

    @property
    def needed_api(self) -> int:
        """The oldest API with which the suite can work."""
        return max(self.oldest_sdk_api, FIRST_API_WITH_DEVICE_REQUESTS)

    @property
    def source(self) -> str:
        """Where these values were read, for evidence."""
        return f"Docker SDK, {self.kind.name} {self.version} at {self.endpoint}"


@dataclass(frozen=True)
class EngineProblem:
    """Why an engine does not answer, and what to do about it."""

    endpoint: str
    problem: str
    remedy: tuple[str, ...]
    conclusive: bool
    """Whether the problem is one of this machine, rather than of the user's settings or of the question."""


def ask() -> Engine | EngineProblem:
    """The engine, or what keeps it from answering, by `python -m dgxcert.probes.host.docker_engine`."""
    # A separate process, because the Docker SDK's time limit counts per read: a socket that accepts the request and
    # stays silent, or sends a byte now and then, would block the caller. A process can be killed.
    args = [sys.executable, "-P", "-m", "dgxcert.probes.host.docker_engine"]
    completed = command.run(args, timeout_s=LIMIT_S)
    if completed.timed_out:
        return unresponsive(os.environ.get("DOCKER_HOST") or "the current context's endpoint")
    if completed.returncode == 0:
        return parse(completed.stdout)
    if inside_container():
        return EngineProblem("", "this is a container: its engine is outside", ("Outside, run: make validate",), False)
    problem = f"the engine could not be queried: {completed.complaint}"
    return EngineProblem("", problem, ("Install again: make setup",), False)


def parse(text: str) -> Engine | EngineProblem:
    """The answer from the JSON that the process prints.

    >>> answer = parse(
    ...     '{"endpoint": "unix:///var/run/docker.sock", "problem": "this user may not use unix:///var/run/docker.sock",'
    ...     ' "remedy": ["Join the group: sudo usermod -aG docker $USER"], "conclusive": false}'
    ... )
    >>> answer.remedy
    ('Join the group: sudo usermod -aG docker $USER',)
    """
    answer = json.loads(text)
    if "problem" in answer:
        return EngineProblem(**{**answer, "remedy": tuple(answer["remedy"])})
    kind = engine_kind.KINDS[answer["kind"]["name"]]
    return Engine(**{**answer, "gpu_ways": tuple(answer["gpu_ways"]), "kind": kind})


def unresponsive(endpoint: str) -> EngineProblem:
    """An engine that accepts the request and does not answer."""
    return EngineProblem(
        endpoint,
        f"{endpoint} accepts the request and does not answer within {LIMIT_S:.0f} s",
        engine_kind.installed(endpoint).steps(
            (
                "Read its state and log: $status; $log",
                "Restart it: $restart",
                "If it still does not answer, check for a full disk: df -h; then restart: sudo reboot",
            )
        ),
        conclusive=False,
    )
