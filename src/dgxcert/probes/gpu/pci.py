"""NVIDIA display devices on the PCI bus, from sysfs: there whether or not a driver is."""

from pathlib import Path

from dgxcert.outcome import Inconclusive

DEVICES = Path("/sys/bus/pci/devices")
NVIDIA = "0x10de"
DISPLAY_CLASSES = ("0x0300", "0x0302")
"""VGA controller and 3D controller, the first four digits of the class."""


def read() -> int | None:
    """How many NVIDIA GPUs the bus shows; None where there is no bus to look at."""
    if not DEVICES.is_dir():
        return None
    return sum(is_gpu(_word(device / "vendor"), _word(device / "class")) for device in DEVICES.iterdir())


def count() -> int:
    """The same; raises Inconclusive where there is no bus to look at."""
    found = read()
    if found is None:
        raise Inconclusive(f"{DEVICES} is not there, so it cannot be told how many GPUs the bus shows", "Mount /sys.")
    return found


def is_gpu(vendor: str, device_class: str) -> bool:
    """Whether a device with these sysfs words (`0x10de`, `0x030200`) is an NVIDIA GPU."""
    return vendor == NVIDIA and device_class.startswith(DISPLAY_CLASSES)


def _word(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
