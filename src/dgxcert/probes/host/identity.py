"""The machine's identity, from the driver, firmware tables and the kernel.

Run as `python -m dgxcert.probes.host.identity` it prints a Machine as JSON; the supervisor reads it that way, because
asking the driver can hang.
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
    """Reads fields and remembers why one could not be read."""

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}

    def file(self, field: str, path: Path) -> str | None:
        """The stripped content of a file, or None."""
        try:
            return path.read_text(encoding="utf-8", errors="replace").strip() or None
        except OSError as error:
            self.unreadable[field] = f"{path}: {error.strerror}"
            return None

    def ask(self, field: str, question: Callable[[], T]) -> T | None:
        """The answer of a probe, or None where it was inconclusive."""
        try:
            return question()
        except Inconclusive as error:
            self.unreadable[field] = error.problem
            return None


def read() -> Machine:
    """Everything that can be known about this machine without special rights."""
    reader = Reader()
    driver = reader.ask("driver", nvml.read)
    if driver is not None and (why := driver.absence or driver.mismatch):
        reader.unreadable["driver"] = why
    total = reader.ask("memory_gib", memory.read)
    return Machine(
        hostname=socket.gethostname(),
        product=reader.file("product", DMI / "product_name"),
        serial=reader.file("serial", DMI / "product_serial"),
        firmware=reader.file("firmware", DMI / "bios_version"),
        dgx_release=_dgx(reader.file("dgx_release", DGX_RELEASE)),
        operating_system=quoted(reader.file("operating_system", OS_RELEASE) or "", "PRETTY_NAME"),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu=cpu_model(reader.file("cpu", Path("/proc/cpuinfo")) or "") or reader.ask("cpu", cores_by_lscpu),
        cores=os.cpu_count() or 1,
        memory_gib=total.total_gib if total else None,
        uptime_s=uptime(reader.file("uptime_s", Path("/proc/uptime"))),
        boot_id=reader.file("boot_id", Path("/proc/sys/kernel/random/boot_id")),
        driver=driver.version if driver else None,
        cuda_driver=driver.cuda if driver else None,
        gpus=driver.gpus if driver else (),
        nvidia_pci_devices=pci.read(),
        unreadable=reader.unreadable,
    )


def cpu_model(cpuinfo: str) -> str | None:
    """The first `model name` of a /proc/cpuinfo text; Arm kernels print none."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else None


def cores_by_lscpu() -> str:
    """The kinds of cores as lscpu names them, like `Cortex-X925, Cortex-A725`; raises Inconclusive without lscpu."""
    try:
        asked = command.run(["lscpu"], timeout_s=10, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise Inconclusive(f"/proc/cpuinfo names no model, and lscpu: {error.strerror}") from error
    kinds = lscpu_models(asked.stdout)
    if not kinds:
        raise Inconclusive("neither /proc/cpuinfo nor lscpu names a model")
    return kinds


def lscpu_models(text: str) -> str:
    """The values of lscpu's `Model name:` lines, each once."""
    return ", ".join(dict.fromkeys(re.findall(r"^\s*Model name:\s*(\S.*?)\s*$", text, re.MULTILINE)))


def uptime(text: str | None) -> float | None:
    """Seconds since start from /proc/uptime, like `350735.47 234388.90`."""
    found = re.match(r"(\d+(\.\d+)?)\s", f"{text or ''} ")
    return float(found.group(1)) if found else None


def _dgx(release: str | None) -> str | None:
    """DGX OS version: the last OTA line is the current one, else the version it was installed with."""
    if release is None:
        return None
    return quoted(release, "DGX_OTA_VERSION") or quoted(release, "DGX_SWBUILD_VERSION")


def quoted(text: str, name: str) -> str | None:
    """The last value of a `NAME="value"` line, quoted or not."""
    found = re.findall(rf"^{name}=[\"']?([^\"'\n]*)[\"']?\s*$", text, re.MULTILINE)
    return found[-1] if found else None


if __name__ == "__main__":
    sys.stdout.write(read().model_dump_json())
