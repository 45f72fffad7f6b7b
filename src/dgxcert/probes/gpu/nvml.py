"""The NVIDIA driver and its GPUs, through NVML. A missing driver means no GPU; a driver that errs is inconclusive.

Every question goes through `driver_query`, in a process of its own, because a sick driver hangs or crashes its caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dgxcert.machine import driver_query, nvml_errors
from dgxcert.machine.driver_query import Answers
from dgxcert.machine.identity import Gpu, is_display_adapter
from dgxcert.outcome import Inconclusive

BYTES_PER_GIB = 1024**3
ANSWER_S = 30.0
"""A loaded driver answers at once. Without persistence mode it loads first: half a minute on eight GPUs."""

# nvmlReturn_t, nvml.h
NO_PERMISSION, DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, GPU_IS_LOST, MISMATCH = 4, 9, 12, 15, 18


@dataclass(frozen=True)
class Driver:
    """The driver's versions and GPUs. `absence` is NVML's message where no driver is installed or loaded.

    >>> Driver("580.95.05", "13.0", ()).branch
    580
    """

    version: str | None
    cuda: str | None
    gpus: tuple[Gpu, ...]
    absence: str | None = None
    display_adapters: tuple[Gpu, ...] = ()
    """Listed among the GPUs by the driver, and not in `gpus`: see `identity.DISPLAY_ADAPTERS`."""
    lost: tuple[int, ...] = ()
    """Indexes of GPUs that cannot be used: fallen off the bus, without power, or in want of a reset."""
    refusals: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    """NVML's code and message of each of those."""
    mismatch: str | None = None
    """NVML's message where library and kernel module differ in version, as after an update without a restart."""

    @property
    def complaint(self) -> str:
        """What the driver says of the GPUs that cannot be used.

        >>> Driver("580.95", "13.0", (), refusals={3: {"code": 16, "says": "GPU requires reset"}}).complaint
        'GPU 3: GPU requires reset'
        """
        return ", ".join(f"GPU {index}: {refusal['says']}" for index, refusal in self.refusals.items())

    @property
    def remedy(self) -> tuple[str, ...]:
        """What to do about the first GPU that cannot be used and is not merely missing; empty without one."""
        codes = {index: refusal["code"] for index, refusal in self.refusals.items() if refusal["code"] != GPU_IS_LOST}
        return next((nvml_errors.find(code).remedy_for(index) for index, code in codes.items()), ())

    @property
    def listed(self) -> int:
        """How many devices it lists, GPUs and display adapters."""
        return len(self.gpus) + len(self.display_adapters)

    @property
    def known_version(self) -> str:
        """The version, as 580.95.05. Raises Inconclusive where there is no driver."""
        if self.version is None:
            raise Inconclusive(f"no driver is loaded: {self.absence}", "See GPU-PRESENT first.")
        return self.version

    @property
    def branch(self) -> int:
        """580 of version 580.95.05. Raises Inconclusive where the version does not start with a number."""
        first = (self.version or "").partition(".")[0]
        if not first.isdigit():
            raise Inconclusive(f"driver version {self.version!r} has no branch", "Run `nvidia-smi`.")
        return int(first)

    @property
    def cuda_major(self) -> int:
        """13 of CUDA 13.0, the newest that the driver supports. Raises Inconclusive where it reports none."""
        first = (self.cuda or "").partition(".")[0]
        if not first.isdigit():
            raise Inconclusive(
                f"the driver reports no CUDA version that it supports: {self.cuda!r}", "Run `nvidia-smi`."
            )
        return int(first)

    @property
    def source(self) -> str:
        """The source of the list of GPUs, for evidence."""
        if self.absence:
            return f"NVML: {self.absence}"
        return f"NVML, driver {self.version}{': ' if self.complaint else ''}{self.complaint}"


def ask(index: int, *fields: str) -> Answers:
    """Fields of `driver_answers.FIELDS` of one GPU. Raises Inconclusive where the driver does not answer for it."""
    return driver_query.ask_gpu(index, *fields, timeout_s=ANSWER_S)


def gpu(index: int) -> Gpu:
    """One GPU, read now. Raises Inconclusive where the driver does not list it."""
    gpus = {gpu.index: gpu for gpu in read().gpus}
    if index not in gpus:
        raise Inconclusive(f"the driver lists no GPU {index}", "See GPU-PRESENT first.")
    return gpus[index]


def require_loaded() -> Driver:
    """The loaded driver. Raises Inconclusive where there is none, which GPU-PRESENT judges."""
    driver = require_consistent()
    if driver.absence:
        raise Inconclusive(f"no driver is loaded: {driver.absence}", "See GPU-PRESENT first.")
    return driver


def require_consistent() -> Driver:
    """The driver or its absence. Raises Inconclusive where it is only half updated, which DRIVER-AGREES judges."""
    driver = read()
    if driver.mismatch:
        raise Inconclusive(f"the driver is only half updated: {driver.mismatch}", "See DRIVER-AGREES first.")
    return driver


def read() -> Driver:
    """The driver's versions and the identity of its GPUs.

    A driver that is not installed, not loaded or only half updated is an answer: see `absence` and `mismatch`. Raises
    Inconclusive where a loaded driver does not answer.
    """
    answer = driver_query.ask("machine", timeout_s=ANSWER_S)
    code, message = answer.get("code"), answer.get("says")
    if code in (DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND):
        return Driver(None, None, (), absence=message)
    if code == MISMATCH:
        return Driver(None, None, (), mismatch=message)
    if code is not None:
        raise driver_query.refusal("the NVIDIA driver does not answer: ", answer, 0)
    refusals = {int(index): refusal for index, refusal in answer["lost"].items()}
    listed = tuple(_identity(Answers(int(index), **fields)) for index, fields in answer["gpus"].items())
    products = [gpu.product for gpu in listed]
    displays = tuple(gpu for gpu in listed if is_display_adapter(gpu.product, products))
    gpus = tuple(gpu for gpu in listed if gpu not in displays)
    return Driver(
        answer["version"], answer["cuda"], gpus, display_adapters=displays, lost=tuple(refusals), refusals=refusals
    )


def compute_processes(index: int) -> list[int]:
    """The host's ids of the processes that compute on a GPU. Raises Inconclusive where they are not reported."""
    return list(ask(index, "compute_processes")["compute_processes"])


@dataclass(frozen=True)
class Activity:
    """What goes on on a GPU: share of the last second in which any kernel ran, and the processes that draw on it.

    None and no process where the driver does not support the question.
    """

    utilization: float | None
    drawing: tuple[int, ...]
    shares: Mapping[int, float] = field(default_factory=dict)
    """Share of the time by process, as the driver last sampled it, where it does: of any process, listed or not."""


def activity(index: int) -> Activity:
    """What goes on on a GPU now. Raises Inconclusive where the driver refuses otherwise than with Not Supported."""
    answers = ask(index, "utilization", "graphics_processes", "process_utilization")
    percent = answers.if_supported("utilization")
    drawing = answers.if_supported("graphics_processes") or ()
    used = answers.answered.get("process_utilization") or {}  # only to name who it is, so a refusal is no matter
    shares = {int(pid): int(share) / 100 for pid, share in used.items()}
    return Activity(None if percent is None else percent / 100, tuple(drawing), shares)


def _identity(answers: Answers) -> Gpu:
    memory = answers.answered.get("memory_total")  # whether it must be reported is judged by DEVICE-MEMORY
    return Gpu(
        index=answers.index,
        product=answers["product"],
        uuid=answers["uuid"],
        compute_capability=answers["compute_capability"],
        memory_gib=memory / BYTES_PER_GIB if memory else None,
        serial=_if_permitted(answers, "serial"),
        vbios=_if_permitted(answers, "vbios"),
    )


def _if_permitted(answers: Answers, name: str) -> Any:
    """A field, or None where it is not supported or only root may read it."""
    return None if answers.refused.get(name, {}).get("code") == NO_PERMISSION else answers.if_supported(name)
