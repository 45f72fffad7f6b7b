"""NVIDIA GPUs on the PCI bus, from sysfs, which shows them with and without a driver."""

from pathlib import Path

from dgxcert.outcome import Inconclusive

DEVICES = Path("/sys/bus/pci/devices")
NVIDIA = "0x10de"
DISPLAY_CLASSES = ("0x0300", "0x0302")
"""VGA controller and 3D controller: base class and subclass, the first four digits of sysfs' `class`."""


def read() -> int | None:
    """The number of NVIDIA GPUs on the bus; None where sysfs has no PCI bus."""
    if not DEVICES.is_dir():
        return None
    return sum(is_gpu(_content(device / "vendor"), _content(device / "class")) for device in DEVICES.iterdir())


def count() -> int:
    """The number of NVIDIA GPUs on the bus. Raises Inconclusive where sysfs has no PCI bus."""
    number = read()
    if number is None:
        raise Inconclusive(
            f"the GPUs on the PCI bus could not be counted: {DEVICES} is missing", "Mount sysfs at /sys."
        )
    return number


def is_gpu(vendor: str, device_class: str) -> bool:
    """Whether a PCI device is an NVIDIA GPU, by the contents of its `vendor` and `class` files in sysfs.

    >>> is_gpu("0x10de", "0x030200"), is_gpu("0x10de", "0x040300")  # a 3D controller, and the audio device of a card
    (True, False)
    """
    return vendor == NVIDIA and device_class.startswith(DISPLAY_CLASSES)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
