"""GPUs as NVIDIA's driver names them, through NVML. A driver that is absent offers no GPU; one that errs is no answer.

Run as `python -m dgxcert.probes.nvml processes INDEX` it prints the compute processes on one GPU as JSON.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from dgxcert.machine import Gpu
from dgxcert.outcome import Inconclusive

T = TypeVar("T")

BYTES_PER_GIB = 1024**3


@dataclass(frozen=True)
class Driver:
    """What the driver says of itself and its GPUs. `absence` says why there is no driver to ask, if so."""

    version: str | None
    cuda: str | None
    gpus: tuple[Gpu, ...]
    absence: str | None = None
    lost: tuple[int, ...] = ()
    """Indexes of GPUs that fell off the bus since the driver was loaded."""

    @property
    def branch(self) -> int:
        """580 of version 580.95.05; raises Inconclusive where the version says no such number."""
        first = (self.version or "").partition(".")[0]
        if not first.isdigit():
            raise Inconclusive(f"driver version {self.version!r} names no branch", "Run `nvidia-smi`.")
        return int(first)

    @property
    def says(self) -> str:
        """Where the list of GPUs comes from, for a record."""
        return f"NVML: {self.absence}" if self.absence else f"NVML, driver {self.version}"


def gpu(index: int) -> Gpu:
    """One GPU, asked anew; raises Inconclusive where the driver does not list it."""
    found = {each.index: each for each in read().gpus}
    if index not in found:
        raise Inconclusive(f"the driver lists no GPU {index}", "See GPU-PRESENT first.")
    return found[index]


def present() -> Driver:
    """The driver; raises Inconclusive where there is none, which GPU-PRESENT judges."""
    driver = read()
    if driver.absence:
        raise Inconclusive(f"there is no driver to look at: {driver.absence}", "See GPU-PRESENT first.")
    return driver


def read() -> Driver:
    """Ask the driver for everything about its GPUs.

    A driver that is not installed or not loaded offers no GPU, which is an answer. Raises Inconclusive when the
    driver is there and does not answer properly.
    """
    import pynvml

    try:
        with _session():
            gpus, lost = _gpus(pynvml.nvmlDeviceGetCount())
            return Driver(pynvml.nvmlSystemGetDriverVersion(), _cuda_version(), gpus, lost=lost)
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded) as error:
        return Driver(None, None, (), absence=str(error))
    except pynvml.NVMLError as error:
        raise Inconclusive(
            f"the NVIDIA driver does not answer: {error}",
            "Run `nvidia-smi`. `Driver/library version mismatch` means an update waits for a restart: sudo reboot",
            "`sudo dmesg | grep -iE 'nvrm|xid'` shows what the driver says of itself.",
        ) from error


def compute_processes(index: int) -> list[int]:
    """Process ids (the host's) that have a compute context on a GPU; NVMLError where that cannot be told."""
    import pynvml

    with _session():
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        return [process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]


@contextmanager
def _session() -> Iterator[None]:
    import pynvml

    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def _gpus(count: int) -> tuple[tuple[Gpu, ...], tuple[int, ...]]:
    """Every GPU that answers, and the indexes of those that are lost: one dead card must not hide the others."""
    import pynvml

    gpus, lost = [], []
    for index in range(count):
        try:
            gpus.append(_gpu(index))
        except pynvml.NVMLError_GpuIsLost:
            lost.append(index)
    return tuple(gpus), tuple(lost)


def _gpu(index: int) -> Gpu:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = _if_supported(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    return Gpu(
        index=index,
        product=pynvml.nvmlDeviceGetName(handle),
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        compute_capability="{}.{}".format(*pynvml.nvmlDeviceGetCudaComputeCapability(handle)),
        memory_gib=memory / BYTES_PER_GIB if memory else None,  # some GB10 drivers say zero where they have no figure
        serial=_if_supported(lambda: pynvml.nvmlDeviceGetSerial(handle)),
        vbios=_if_supported(lambda: pynvml.nvmlDeviceGetVbiosVersion(handle)),
    )


def _if_supported(ask: Callable[[], T]) -> T | None:
    """None only where the driver itself says that this GPU has no such figure (GB10 has none for memory)."""
    import pynvml

    try:
        return ask()
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission):
        return None


def _cuda_version() -> str:
    """The newest CUDA that the driver serves: 13000 is 13.0."""
    import pynvml

    number: Any = pynvml.nvmlSystemGetCudaDriverVersion_v2()
    return f"{number // 1000}.{number % 1000 // 10}"


if __name__ == "__main__":
    json.dump(compute_processes(int(sys.argv[2])), sys.stdout)
