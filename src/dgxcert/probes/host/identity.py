"""The machine's identity, from the driver, firmware tables and the kernel.

Run as `python -m dgxcert.probes.host.identity` it prints a Machine as JSON; the supervisor starts it as a process,
because a call into the driver can hang.
"""

import os
import platform
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dgxcert import command
from dgxcert.machine.identity import Machine
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml, pci
from dgxcert.probes.host import memory

T = TypeVar("T")

DMI = Path("/sys/class/dmi/id")
DGX_RELEASE = Path("/etc/dgx-release")
OS_RELEASE = Path("/etc/os-release")


class Reader:
    """Reads fields and keeps the reason for each that cannot be read."""

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}

    def file(self, field: str, path: Path) -> str | None:
        """The stripped content of a file, or None."""
        try:
            return path.read_text(encoding="utf-8", errors="replace").strip() or None
        except OSError as error:
            self.unreadable[field] = f"{path}: {error.strerror}"
            return None

    def probe(self, field: str, read: Callable[[], T]) -> T | None:
        """The result of a probe, or None where it is inconclusive."""
        try:
            return read()
        except Inconclusive as error:
            self.unreadable[field] = error.problem
            return None


def read() -> Machine:
    """The identity of this machine, as far as it can be read without root."""
    reader = Reader()
    driver = reader.probe("driver", nvml.read)
    if driver is not None and (reason := driver.absence or driver.mismatch):
        reader.unreadable["driver"] = reason
    system_memory = reader.probe("memory_gib", memory.read)
    product, cpuinfo = reader.file("product", DMI / "product_name"), reader.file("cpu", Path("/proc/cpuinfo")) or ""
    return Machine(
        hostname=socket.gethostname(),
        product=product,
        serial=reader.file("serial", DMI / "product_serial"),
        firmware=reader.file("firmware", DMI / "bios_version"),
        dgx_release=_dgx(reader.file("dgx_release", DGX_RELEASE)),
        operating_system=quoted(reader.file("operating_system", OS_RELEASE) or "", "PRETTY_NAME"),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu=cpu_model(cpuinfo) or reader.probe("cpu", cores_by_lscpu),
        cores=os.cpu_count() or 1,
        memory_gib=system_memory.total_gib if system_memory else None,
        uptime_s=uptime(reader.file("uptime_s", Path("/proc/uptime"))),
        boot_id=reader.file("boot_id", Path("/proc/sys/kernel/random/boot_id")),
        virtual=is_virtual(cpuinfo, product or ""),
        driver=driver.version if driver else None,
        cuda_driver=driver.cuda if driver else None,
        gpus=driver.gpus if driver else (),
        display_adapters=driver.display_adapters if driver else (),
        nvidia_pci_devices=pci.read(),
        unreadable=reader.unreadable,
    )


def cpu_model(cpuinfo: str) -> str | None:
    """The first `model name` of a /proc/cpuinfo text; Arm kernels print none.

    >>> cpu_model("processor\\t: 0\\nmodel name\\t: AMD EPYC 9B14\\n")
    'AMD EPYC 9B14'
    """
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match.group(1).strip() if match else None


def is_virtual(cpuinfo: str, product: str) -> bool | None:
    """Whether this is a virtual machine: x86 CPUs have a flag for it, of others the name of the product may tell.

    >>> is_virtual("flags\\t\\t: fpu sse hypervisor avx", ""), is_virtual("", "NVIDIA_DGX_Spark"), is_virtual("", "")
    (True, False, None)
    """
    if flags := re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE):
        return "hypervisor" in flags.group(1).split()
    if re.search(r"KVM|QEMU|VMware|Virtual|Standard PC|Compute Engine|OpenStack", product):
        return True
    return False if "DGX" in product else None


def cores_by_lscpu() -> str:
    """The kinds of cores as lscpu names them, like `Cortex-X925, Cortex-A725`; raises Inconclusive without lscpu."""
    try:
        lscpu = command.run(["lscpu"], timeout_s=10, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise Inconclusive(f"/proc/cpuinfo names no model, and lscpu: {error.strerror}") from error
    models = lscpu_models(lscpu.stdout)
    if not models:
        raise Inconclusive("neither /proc/cpuinfo nor lscpu names a model")
    return models


def lscpu_models(text: str) -> str:
    """The values of lscpu's `Model name:` lines, each once.

    >>> lscpu_models("Model name:   Cortex-X925\\nCore(s) per socket:   10\\nModel name:   Cortex-A725\\n")
    'Cortex-X925, Cortex-A725'
    """
    return ", ".join(dict.fromkeys(re.findall(r"^\s*Model name:\s*(\S.*?)\s*$", text, re.MULTILINE)))


def uptime(text: str | None) -> float | None:
    """Seconds since the boot from the text of /proc/uptime; its second number is the CPUs' idle time.

    >>> uptime("350735.47 234388.90")
    350735.47
    """
    match = re.match(r"(\d+(\.\d+)?)\s", f"{text or ''} ")
    return float(match.group(1)) if match else None


def _dgx(release: str | None) -> str | None:
    """DGX OS version: the last OTA line is the current one, else the version that was installed."""
    if release is None:
        return None
    return quoted(release, "DGX_OTA_VERSION") or quoted(release, "DGX_SWBUILD_VERSION")


def quoted(text: str, name: str) -> str | None:
    """The last value of a `NAME="value"` line, quoted or not.

    >>> quoted('DGX_SWBUILD_VERSION="7.2.3"\\nDGX_OTA_VERSION="7.4.0"\\n', "DGX_OTA_VERSION")
    '7.4.0'
    """
    values = re.findall(rf"^{name}=[\"']?([^\"'\n]*)[\"']?\s*$", text, re.MULTILINE)
    return values[-1] if values else None


if __name__ == "__main__":
    sys.stdout.write(read().model_dump_json())
