"""The identity of the machine under test, which ties a verdict to it; for what could not be read, the reason."""

import re
from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from dgxcert.outcome import Inconclusive

DISPLAY_ADAPTERS = re.compile(r"(?:NVIDIA )?DGX Display(?: Adapter)?")
"""Products that only drive a monitor. CUDA and NVML list them among the GPUs, also between two of them: a DGX Station
A100 has one beside its four A100 (DGX Station A100 User Guide)."""


WITHOUT_SCREEN = "NVIDIA GB300"
"""The GPU of a DGX Station, which drives no monitor: a card beside it does."""
CARDS_FOR_SCREENS = re.compile(r"NVIDIA (?:RTX|T\d+) .+|NVIDIA T\d+")


def is_display_adapter(product: str, beside: Iterable[str] = ()) -> bool:
    """Whether a product, as the driver names it, drives a monitor and is not meant to compute.

    `beside` are all products that the driver lists: a card for workstations computes, except beside a GB300.

    >>> is_display_adapter("NVIDIA DGX Display"), is_display_adapter("NVIDIA A100-SXM4-80GB")
    (True, False)
    >>> card = "NVIDIA RTX PRO 4000 Blackwell"
    >>> is_display_adapter(card), is_display_adapter(card, ["NVIDIA GB300", card])
    (False, True)
    """
    if DISPLAY_ADAPTERS.fullmatch(product):
        return True
    return CARDS_FOR_SCREENS.fullmatch(product) is not None and WITHOUT_SCREEN in beside


class MemoryKind(StrEnum):
    """Whose memory a GPU computes in."""

    SEPARATE = "separate"
    """Its own, behind PCIe: a card or a module on a baseboard."""
    COHERENT = "coherent"
    """Its own, beside a CPU that reads and writes it over NVLink-C2C (GH200, GB200, GB300): two memories, one address
    space. The kernel may count it as the system's; see `machine.gpu_memory_nodes`."""
    UNIFIED = "unified"
    """The system's, which it has no other beside (GB10), so /proc/meminfo has the true figures."""


class Gpu(BaseModel):
    """One GPU as the driver names it. `memory_gib` is None where the driver reports none (unified memory)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: int
    product: str
    uuid: str
    compute_capability: str
    memory_gib: float | None = None
    serial: str | None = None
    vbios: str | None = None


class Machine(BaseModel):
    """One computer. A field that could not be read is None, and `unreadable` has the reason by field name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hostname: str
    product: str | None = None
    serial: str | None = None
    firmware: str | None = None
    dgx_release: str | None = None
    operating_system: str | None = None
    kernel: str
    architecture: str
    cpu: str | None = None
    cores: int
    memory_gib: float | None = None
    uptime_s: float | None = None
    boot_id: str | None = None
    virtual: bool | None = None
    """Whether it is a virtual machine; None where nothing tells."""
    driver: str | None = None
    cuda_driver: str | None = None
    gpus: tuple[Gpu, ...] = ()
    """The GPUs that compute. Their indexes have gaps where a display adapter or a lost GPU is between them."""
    display_adapters: tuple[Gpu, ...] = ()
    nvidia_pci_devices: int | None = None
    unreadable: dict[str, str] = {}

    def require(self, field: str) -> str:
        """The value of a field. Raises Inconclusive with the reason where it could not be read."""
        value = getattr(self, field)
        if value is None:
            reason = self.unreadable.get(field, "nothing reports it")
            raise Inconclusive(f"the {field} of this machine could not be read: {reason}", "Run on the machine itself.")
        return str(value)

    @property
    def identity(self) -> dict[str, object]:
        """What must not change during one run: the machine and its system software."""
        return {
            "hostname": self.hostname,
            "product": self.product,
            "serial": self.serial,
            "driver": self.driver,
            "CUDA of the driver": self.cuda_driver,
            "kernel": self.kernel,
            "firmware": self.firmware,
            "GPUs": sorted(gpu.uuid for gpu in self.gpus),
        }
