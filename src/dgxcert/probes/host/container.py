"""A container of the image, started by the engine: whether it gets its devices, and whether they compute correctly."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dgxcert.machine.identity import Gpu, is_display_adapter
from dgxcert.machine.image import Image
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import docker_engine

LIMIT_S = 150.0
"""The first import of torch in a new container reads gigabytes from the disk."""
REQUEST_S = 30

NO_CDI_SPECIFICATION = (
    "List the specifications: nvidia-ctk cdi list; ls /etc/cdi /var/run/cdi",
    "Remove the older one if two files name nvidia.com/gpu: grep -l nvidia.com/gpu /etc/cdi/* /var/run/cdi/*",
    "Generate it again: sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml",
)
LOST_GPUS = (
    "Start a new container; that alone may be enough.",
    'Prevent it: use CDI, or the engine\'s cgroup driver cgroupfs: "exec-opts": ["native.cgroupdriver=cgroupfs"] in '
    "/etc/docker/daemon.json",
)

CAUSES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        'could not select device driver "cdi"',
        "the engine's CDI support is switched off",
        (
            'Switch it on: "features": {"cdi": true} in /etc/docker/daemon.json, then: sudo systemctl restart docker',
            "Register the older runtime otherwise: sudo nvidia-ctk runtime configure --runtime=docker; "
            "then: sudo systemctl restart docker",
        ),
    ),
    (
        "could not select device driver",
        "the engine has no NVIDIA Container Toolkit, or it is not configured",
        (
            "Check whether it is installed: nvidia-ctk --version",
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
        # systemd rewrites the cgroup's device rules, which then lack the GPUs that the container was given.
        "failed to initialize nvml: unknown error",
        "the container lost its GPUs when the system's services were reloaded (systemctl daemon-reload)",
        LOST_GPUS,
    ),
    (
        "can't initialize nvml",  # torch's message for it
        "the container has no working driver: it lost its GPUs or never had them",
        LOST_GPUS,
    ),
    (
        "nvidia-container-cli: ",
        "the NVIDIA Container Toolkit could not give the GPUs to the container",
        (
            "Check the driver first: nvidia-smi",
            "Restart if the message is `driver/library version mismatch`: sudo reboot",
            "Update the toolkit: sudo apt install --only-upgrade nvidia-container-toolkit",
        ),
    ),
    (
        "exec format error",
        "the image has another architecture",
        ("Build it on this machine: make image", "Name an image of this architecture otherwise: IMAGE=NAME"),
    ),
)
"""Part of a message of the engine or container, in lower case: its cause and what to do. The first match counts."""

OTHERWISE = (
    "Try by hand: docker run --rm --gpus all ubuntu nvidia-smi",
    "Read the engine's log: journalctl -u docker | tail -50",
)


@dataclass(frozen=True)
class Container:
    """The result of a container: the devices that computed, or the problem and its remedy."""

    devices: tuple[str, ...]
    wrong: int
    """Wrong products of whole numbers."""
    problem: str
    remedy: tuple[str, ...]
    uuids: tuple[str, ...] = ()
    """Of the GPUs that computed."""

    @property
    def description(self) -> str:
        """The result as text, for evidence."""
        return self.problem or f"products of whole numbers in a container, on {', '.join(self.devices)}"

    def missing(self, gpus: tuple[Gpu, ...]) -> str:
        """The GPUs of the machine that did not compute in the container; `none` where all did.

        >>> gpu = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-8d", compute_capability="12.1")
        >>> Container((), 0, "", (), uuids=()).missing((gpu,))
        'GPU 0 (GPU-8d)'
        """
        computed = {_bare(uuid) for uuid in self.uuids}
        return ", ".join(f"GPU {gpu.index} ({gpu.uuid})" for gpu in gpus if _bare(gpu.uuid) not in computed) or "none"


def _bare(uuid: str) -> str:
    """A GPU's UUID without the prefix that NVML writes and torch, up to now, omits.

    >>> _bare("GPU-8D93"), _bare("8d93")
    ('8d93', '8d93')
    """
    return uuid.lower().removeprefix("gpu-")


def read(image: Image, *, gpus: bool) -> Container:
    """Start a container of the image that computes on every GPU (or the CPU), and read its result.

    Raises Inconclusive where the engine does not answer, cannot start a container for a reason that is not in CAUSES
    (a full disk, a missing image), or the container does not end in time.
    """
    import docker
    from docker import errors

    engine = docker_engine.read()
    client = docker.DockerClient(base_url=engine.endpoint, timeout=REQUEST_S, version="auto")
    try:
        with _running(client, image, gpus=gpus) as container:
            code = container.wait(timeout=LIMIT_S)["StatusCode"]
            stdout = container.logs(stdout=True, stderr=False).decode(errors="replace")
            return parse(code, stdout, container.logs(stdout=False, stderr=True).decode(errors="replace"))
    except errors.APIError as error:
        message = str(error.explanation or error)
        if cause(message) is None:
            raise Inconclusive(f"the engine could not start a container: {_last(message)}", *OTHERWISE) from error
        return failed(message)
    except OSError as error:  # the SDK's HTTP library raises subclasses of OSError on a timeout
        raise Inconclusive(
            f"the container did not end within {LIMIT_S:.0f} s, or the engine stopped answering: {error}",
            "Try by hand: docker run --rm --gpus all " + image.reference + " --help",
        ) from error


@contextlib.contextmanager
def _running(client: Any, image: Image, *, gpus: bool) -> Iterator[Any]:
    """A container with the restrictions of compose.yaml and without a network; always removed at the end."""
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


def parse(code: int, stdout: str, stderr: str) -> Container:
    """The result from the exit code, standard output and standard error of a container.

    >>> parse(0, '[{"device": "cuda:0", "product": "NVIDIA GB10", "wrong": 0}]', "").devices
    ('cuda:0 (NVIDIA GB10)',)
    >>> parse(1, "", "exec /usr/bin/python3: exec format error").problem
    'the image has another architecture: exec /usr/bin/python3: exec format error'
    """
    if code != 0:
        return failed(stderr or stdout or f"exit code {code}")
    try:
        results = json.loads(stdout.splitlines()[-1])
        # An adapter that drives a monitor may compute as well; it is none of the GPUs that the machine is bought for.
        results = [result for result in results if not is_display_adapter(result["product"])]
        devices = tuple(f"{result['device']} ({result['product']})" for result in results)
        uuids = tuple(str(result.get("uuid", "")) for result in results)
        wrong = sum(int(result["wrong"]) for result in results)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError):
        return failed(f"it printed no result: {stdout[-200:]!r}")
    if not devices:
        known = cause(stderr) is not None
        return failed(stderr if known else f"torch found no GPU in the container. {_last(stderr)}")
    return Container(devices, wrong, "", (), uuids)


def failed(message: str) -> Container:
    """A container that could not start or compute, with the cause of its message."""
    meaning, remedy = cause(message) or ("the container could not compute", OTHERWISE)
    return Container((), 0, f"{meaning}: {_last(message)}", remedy)


def cause(message: str) -> tuple[str, tuple[str, ...]] | None:
    """The known cause of a message and its remedy; None for an unknown message.

    >>> cause('could not select device driver "" with capabilities: [[gpu]]')[0]
    'the engine has no NVIDIA Container Toolkit, or it is not configured'
    """
    return next(((meaning, remedy) for part, meaning, remedy in CAUSES if part in message.lower()), None)


def _last(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
