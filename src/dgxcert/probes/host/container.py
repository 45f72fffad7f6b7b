"""A container of the image, started by the engine: whether it gets its devices, and whether they compute correctly."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dgxcert.container.engine_kind import DOCKER, EngineKind
from dgxcert.machine.identity import Gpu, is_display_adapter
from dgxcert.machine.image import Image
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import docker_engine
from dgxcert.probes.host.engine import start_errors

LIMIT_S = 150.0
"""The first import of torch in a new container reads gigabytes from the disk."""
REQUEST_S = 30


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

    Raises Inconclusive where the engine does not answer, cannot start a container for a reason that no table knows or
    that is not the machine's (a missing image), or the container does not end in time.
    """
    import docker
    from docker import errors

    engine = docker_engine.read()
    client = docker.DockerClient(base_url=engine.endpoint, timeout=REQUEST_S, version="auto")
    try:
        with _running(client, image, gpus=gpus) as container:
            code = container.wait(timeout=LIMIT_S)["StatusCode"]
            stdout = container.logs(stdout=True, stderr=False).decode(errors="replace")
            stderr = container.logs(stdout=False, stderr=True).decode(errors="replace")
            return parse(code, stdout, stderr, engine.kind)
    except errors.APIError as error:
        return refused(str(error.explanation or error), engine.kind)
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


def parse(code: int, stdout: str, stderr: str, kind: EngineKind = DOCKER) -> Container:
    """The result from the exit code, standard output and standard error of a container.

    >>> parse(0, '[{"device": "cuda:0", "product": "NVIDIA GB10", "wrong": 0}]', "").devices
    ('cuda:0 (NVIDIA GB10)',)
    >>> parse(1, "", "exec /usr/bin/python3: exec format error").problem
    'the image has another architecture: exec /usr/bin/python3: exec format error'
    """
    if code != 0:
        return failed(stderr or stdout or f"exit code {code}", kind)
    try:
        results = json.loads(stdout.splitlines()[-1])
        # An adapter that drives a monitor may compute as well; it is none of the GPUs that the machine is bought for.
        products = [result["product"] for result in results]
        results = [result for result in results if not is_display_adapter(result["product"], products)]
        devices = tuple(f"{result['device']} ({result['product']})" for result in results)
        uuids = tuple(str(result.get("uuid", "")) for result in results)
        wrong = sum(int(result["wrong"]) for result in results)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError):
        printed = " ".join(stdout.split())[-200:]
        return failed(f"it printed no result: {printed or 'nothing at all'}", kind)
    if not devices:
        known = start_errors.find(stderr, kind) is not None
        said = start_errors.explain(stderr, kind).sentence
        return failed(stderr if known else f"torch found no GPU in the container. {said}", kind)
    return Container(devices, wrong, "", (), uuids)


def failed(message: str, kind: EngineKind = DOCKER) -> Container:
    """A container that could not start or compute, with the cause of its message.

    >>> failed('could not select device driver "" with capabilities: [[gpu]]').problem.partition(":")[0]
    'the engine has no NVIDIA Container Toolkit, or was started before it was installed'
    """
    found = start_errors.explain(message, kind)
    return Container((), 0, f"{found.meaning}: {found.sentence}", found.remedy)


def refused(message: str, kind: EngineKind = DOCKER) -> Container:
    """A container that the engine did not start. Raises Inconclusive where that says nothing about the machine.

    >>> refused("No such image: dgxcert")
    Traceback (most recent call last):
    dgxcert.outcome.Inconclusive: the image is not there: dgxcert: No such image: dgxcert. Build it: make image
    """
    found = start_errors.find(message, kind)
    if found is None:
        unknown = start_errors.explain(message, kind)
        raise Inconclusive(f"the engine could not start a container: {unknown.sentence}", *unknown.remedy)
    if not found.conclusive:
        raise Inconclusive(f"{found.meaning}: {found.sentence}", *found.remedy)
    return failed(message, kind)
