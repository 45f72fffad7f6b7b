"""Results of the host probes: engines, drivers, kernel logs and containers, for tests of the checks."""

import json

import paths
import pytest
from suites import example

from dgxcert.container import engine_answer, engine_kind
from dgxcert.container.engine_answer import Engine
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import container, docker_engine, kernel_log

GB10 = Gpu(index=0, product="NVIDIA GB10", uuid="GPU-0", compute_capability="12.1")
SPARK = example.MACHINE.model_copy(update={"gpus": (GB10,), "firmware": "5.36_0ACUM018", "dgx_release": "7.4.0"})

NOT_MEASURED = Inconclusive("no instrument answered", "Check the instrument.")

STOPPED = docker_engine.diagnose(ConnectionRefusedError(), docker_engine.DEFAULT_ENDPOINT, selected=False)
UNRESPONSIVE = engine_answer.unresponsive(docker_engine.DEFAULT_ENDPOINT)


def engine(name: str = "spark-29", **changed: object) -> Engine:
    """A recorded engine, without the GPU support of the machine that runs the tests."""
    recorded = json.loads((paths.RECORDED / "engines" / f"{name}.json").read_text(encoding="utf-8"))
    info = {**recorded["info"], "CDISpecDirs": ["/nowhere"], **changed}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_kind, "DAEMON_PATH", "/nowhere")
        return docker_engine.parse(docker_engine.DEFAULT_ENDPOINT, recorded["version"], info, ("1.24", "1.45"))


def driver(version: str | None) -> nvml.Driver:
    """A driver of that version with one GPU, or no driver."""
    absence = None if version else "NVML Shared Library Not Found"
    return nvml.Driver(version, "13.0" if version else None, (GB10,) if version else (), absence=absence)


def half_updated() -> nvml.Driver:
    """A driver whose library and kernel module have different versions."""
    return nvml.Driver(None, None, (), mismatch="Driver/library version mismatch")


def log(*lines: str) -> kernel_log.KernelLog:
    """The complete kernel log of a boot that ends with these lines."""
    return kernel_log.parse("\n".join(["[    0.000000] Linux version 6.17", *lines]), "`dmesg`")


def computed(*devices: str, wrong: int = 0) -> container.Container:
    """A container in which these devices computed."""
    uuids = tuple(f"GPU-{index}" for index in range(len(devices)))
    return container.Container(devices, wrong, "", (), uuids)
