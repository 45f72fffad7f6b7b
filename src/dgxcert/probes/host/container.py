"""A container of the image, started by the engine: whether it gets its devices, and whether they compute."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dgxcert.machine.image import Image
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import docker_engine

LIMIT_S = 150.0
"""Importing torch in a container that was never started before reads gigabytes from the disk."""
ANSWER_S = 30

NO_CDI_SPECIFICATION = (
    "Look at it: nvidia-ctk cdi list; ls /etc/cdi /var/run/cdi",
    "Two files that name nvidia.com/gpu: remove the older one.",
    "Make it anew: sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml",
)
LOST_ITS_GPUS = (
    "Start a new container; that alone may be enough.",
    "For good: use CDI, or cgroupfs as the engine's cgroup driver; see NVIDIA's notes on this very message.",
)

CAUSES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        'could not select device driver "cdi"',
        "the engine's CDI support is switched off",
        (
            'Switch it on: "features": {"cdi": true} in /etc/docker/daemon.json, then: sudo systemctl restart docker',
            "Or register the older runtime: sudo nvidia-ctk runtime configure --runtime=docker, then restart docker.",
        ),
    ),
    (
        "could not select device driver",
        "the engine has no NVIDIA Container Toolkit, or it is not configured",
        (
            "Look for it: nvidia-ctk --version",
            "Install it: sudo apt install nvidia-container-toolkit",
            "Configure it: sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
        ),
    ),
    (
        "unresolvable cdi devices",
        "the CDI specification of the GPUs is missing or stale",
        NO_CDI_SPECIFICATION,
    ),
    (
        "failed to discover gpu vendor from cdi",  # Docker 29, which gives GPUs by CDI where it can
        "the engine found no CDI specification of NVIDIA GPUs",
        NO_CDI_SPECIFICATION,
    ),
    (
        "unknown or invalid runtime name",
        "the runtime `nvidia` is not registered with the engine",
        ("Register it: sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",),
    ),
    (
        "failed to initialize nvml: unknown error",
        "the container lost its GPUs when the system's services were reloaded (systemctl daemon-reload)",
        LOST_ITS_GPUS,
    ),
    (
        "can't initialize nvml",  # the same, in torch's words
        "the container has no working driver: its GPUs were taken from it, or never given to it",
        LOST_ITS_GPUS,
    ),
    (
        "nvidia-container-cli: ",
        "the NVIDIA Container Toolkit could not give the GPUs to the container",
        (
            "Look at the driver first: nvidia-smi",
            "`driver/library version mismatch`: an update waits for a restart: sudo reboot",
            "Update the toolkit: sudo apt install --only-upgrade nvidia-container-toolkit",
        ),
    ),
    (
        "exec format error",
        "the image is built for another processor",
        ("Build it on this machine: make image", "Or name an image for this processor: IMAGE="),
    ),
)
"""What an engine's or a container's words contain: what that means and what to do. The first that fits counts."""

OTHERWISE = (
    "Read the words above; try by hand: docker run --rm --gpus all ubuntu nvidia-smi",
    "Look at the engine: journalctl -u docker | tail -50",
)


@dataclass(frozen=True)
class Container:
    """What became of a container: `devices` computed, `problem` says why none did, `remedy` what to do then."""

    devices: tuple[str, ...]
    wrong: int
    problem: str
    remedy: tuple[str, ...]

    @property
    def says(self) -> str:
        """What happened, for a record."""
        return self.problem or f"products of whole numbers in a container, on {', '.join(self.devices)}"


def read(image: Image, *, gpus: bool) -> Container:
    """Start a container of the image that computes on every GPU (or the CPU), and read what it did.

    Raises Inconclusive where the engine does not answer, cannot start a container for a reason that is not in CAUSES
    (a full disk, an image that is gone), or the container does not end in time.
    """
    import docker
    from docker import errors

    engine = docker_engine.read()
    client = docker.DockerClient(base_url=engine.endpoint, timeout=ANSWER_S, version="auto")
    try:
        with _running(client, image, gpus=gpus) as container:
            ended = container.wait(timeout=LIMIT_S)["StatusCode"]
            output = container.logs(stdout=True, stderr=False).decode(errors="replace")
            return parse(ended, output, container.logs(stdout=False, stderr=True).decode(errors="replace"))
    except errors.APIError as error:
        words = str(error.explanation or error)
        if cause(words) is None:
            raise Inconclusive(f"the engine could not start a container: {_last(words)}", *OTHERWISE) from error
        return failed(words)
    except OSError as error:  # what the SDK's HTTP library raises where time runs out
        raise Inconclusive(
            f"the container did not end within {LIMIT_S:.0f} s, or the engine stopped answering: {error}",
            "Try by hand: docker run --rm --gpus all " + image.reference + " --help",
        ) from error


@contextlib.contextmanager
def _running(client: Any, image: Image, *, gpus: bool) -> Iterator[Any]:
    """A container as the suite runs it, removed at the end whatever happens; without a network, which it needs not."""
    from docker import errors, types

    container = client.containers.create(
        image.id,
        ["-P", "-m", "dgxcert.probes.gpu.compute", "cuda" if gpus else "cpu"],
        entrypoint=["python3"],
        user=f"{os.getuid()}:{os.getgid()}",
        device_requests=[types.DeviceRequest(count=-1, capabilities=[["gpu"]])] if gpus else [],
        read_only=True,
        tmpfs={"/tmp": "exec,mode=1777"},  # noqa: S108 (a mount inside the container)
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        network_disabled=True,
        init=True,
        labels={"org.dgxcert.probe": "compute"},
    )
    try:
        container.start()
        yield container
    finally:
        with contextlib.suppress(errors.NotFound):
            container.remove(force=True)


def parse(code: int, output: str, complaints: str) -> Container:
    """What the container left: its exit code, what it printed, and what it complained of."""
    if code != 0:
        return failed(complaints or output or f"exit code {code}")
    try:
        done = json.loads(output.splitlines()[-1])
        devices = tuple(f"{each['device']} ({each['product']})" for each in done)
        wrong = sum(int(each["wrong"]) for each in done)
    except (ValueError, IndexError, KeyError, TypeError):
        return failed(f"it printed something else than its results: {output[-200:]!r}")
    if not devices:
        known = cause(complaints) is not None
        return failed(complaints if known else f"torch found no GPU in the container. {_last(complaints)}")
    return Container(devices, wrong, "", ())


def failed(words: str) -> Container:
    """A container that could not start or compute, with the cause that its words stand for."""
    meaning, remedy = cause(words) or ("the container could not compute", OTHERWISE)
    return Container((), 0, f"{meaning}: {_last(words)}", remedy)


def cause(words: str) -> tuple[str, tuple[str, ...]] | None:
    """What an engine's or a container's words mean and what to do, where that is known."""
    return next(((meaning, remedy) for mark, meaning, remedy in CAUSES if mark in words.lower()), None)


def _last(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
