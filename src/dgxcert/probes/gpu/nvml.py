"""GPUs as NVIDIA's driver names them, through NVML. A driver that is absent offers no GPU; one that errs is no answer.

Every question is asked in a process of its own and within seconds, because a sick driver hangs or takes its caller
along. The call that did so is named, and not waited for again.
"""

from dataclasses import dataclass
from typing import Any

from dgxcert.machine import driver_query
from dgxcert.machine.driver_query import RESTART, Answers
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive

BYTES_PER_GIB = 1024**3
ANSWER_S = 30.0
"""A healthy driver answers at once; where persistence is off it is loaded first, half a minute on eight GPUs."""

# nvml.h, nvmlReturn_t
NO_PERMISSION, DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, MISMATCH = 4, 9, 12, 18


@dataclass(frozen=True)
class Driver:
    """What the driver says of itself and its GPUs. `absence` says why there is no driver to ask, if so."""

    version: str | None
    cuda: str | None
    gpus: tuple[Gpu, ...]
    absence: str | None = None
    lost: tuple[int, ...] = ()
    """Indexes of GPUs that fell off the bus since the driver was loaded."""
    mismatch: str | None = None
    """The driver's own words where its library and its kernel module are of different versions."""

    @property
    def known_version(self) -> str:
        """580.95.05; raises Inconclusive where there is no driver to name one."""
        if self.version is None:
            raise Inconclusive(f"there is no driver to look at: {self.absence}", "See GPU-PRESENT first.")
        return self.version

    @property
    def branch(self) -> int:
        """580 of version 580.95.05; raises Inconclusive where the version says no such number."""
        first = (self.version or "").partition(".")[0]
        if not first.isdigit():
            raise Inconclusive(f"driver version {self.version!r} names no branch", "Run `nvidia-smi`.")
        return int(first)

    @property
    def cuda_major(self) -> int:
        """13 of CUDA 13.0, the newest that the driver serves; raises Inconclusive where it names none."""
        first = (self.cuda or "").partition(".")[0]
        if not first.isdigit():
            raise Inconclusive(f"the driver names no CUDA that it serves: {self.cuda!r}", "Run `nvidia-smi`.")
        return int(first)

    @property
    def source(self) -> str:
        """Where the list of GPUs comes from, for a record."""
        return f"NVML: {self.absence}" if self.absence else f"NVML, driver {self.version}"


def ask(index: int, *fields: str) -> Answers:
    """Fields of `driver_answers.FIELDS` of one GPU. Raises Inconclusive where the driver does not answer for it."""
    return driver_query.ask_gpu(index, *fields, timeout_s=ANSWER_S)


def gpu(index: int) -> Gpu:
    """One GPU, asked anew; raises Inconclusive where the driver does not list it."""
    found = {each.index: each for each in read().gpus}
    if index not in found:
        raise Inconclusive(f"the driver lists no GPU {index}", "See GPU-PRESENT first.")
    return found[index]


def require_loaded() -> Driver:
    """The driver; raises Inconclusive where there is none, which GPU-PRESENT judges."""
    driver = require_consistent()
    if driver.absence:
        raise Inconclusive(f"there is no driver to look at: {driver.absence}", "See GPU-PRESENT first.")
    return driver


def require_consistent() -> Driver:
    """The driver, or its absence; raises Inconclusive where it is only half updated, which DRIVER-AGREES judges."""
    driver = read()
    if driver.mismatch:
        raise Inconclusive(f"the driver is only half updated: {driver.mismatch}", "See DRIVER-AGREES first.")
    return driver


def read() -> Driver:
    """Ask the driver for its versions and the identity of its GPUs.

    A driver that is not installed or not loaded offers no GPU, which is an answer, and so is one that is only half
    updated. Raises Inconclusive when the driver is there and does not answer properly.
    """
    said = driver_query.ask("machine", timeout_s=ANSWER_S)
    code, says = said.get("code"), said.get("says")
    if code in (DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND):
        return Driver(None, None, (), absence=says)
    if code == MISMATCH:
        return Driver(None, None, (), mismatch=says)
    if code is not None:
        raise Inconclusive(f"the NVIDIA driver does not answer: {says}", *RESTART)
    gpus = tuple(_gpu(Answers(int(index), **found)) for index, found in said["gpus"].items())
    return Driver(said["version"], said["cuda"], gpus, lost=tuple(said["lost"]))


def compute_processes(index: int) -> list[int]:
    """Process ids (the host's) that have a compute context on a GPU; raises Inconclusive where that cannot be told."""
    return list(ask(index, "compute_processes")["compute_processes"])


def _gpu(found: Answers) -> Gpu:
    memory = found.answered.get("memory_total")  # whether it should have been answered is DEVICE-MEMORY's question
    return Gpu(
        index=found.index,
        product=found["product"],
        uuid=found["uuid"],
        compute_capability=found["compute_capability"],
        memory_gib=memory / BYTES_PER_GIB if memory else None,
        serial=_if_told(found, "serial"),
        vbios=_if_told(found, "vbios"),
    )


def _if_told(found: Answers, name: str) -> Any:
    """None also where only the right to know is missing."""
    return None if found.refused.get(name, {}).get("code") == NO_PERMISSION else found.if_supported(name)
