"""What the kernel counts beside its log, readable without root: uncorrected errors by EDAC, and the state of drives.

drivers/edac/edac_mc_sysfs.c, drivers/nvme/host/sysfs.c, drivers/scsi/scsi_sysfs.c.
"""

from dataclasses import dataclass
from pathlib import Path

EDAC = Path("/sys/devices/system/edac/mc")
NVME = Path("/sys/class/nvme")
BLOCK = Path("/sys/block")
WELL = {"live", "running", "connecting", "new", "resetting", "created"}
"""An NVMe drive that is being reset for power management is on its way back; the log says if it does not come."""


@dataclass(frozen=True)
class Counters:
    """Uncorrected memory errors since the boot, and drives that the kernel has given up."""

    uncorrected: int
    corrected: int
    dead_drives: tuple[str, ...]
    """`nvme0 is dead`."""
    source: str

    @property
    def drives(self) -> str:
        """The source and the dead drives."""
        return f"/sys/class/nvme and /sys/block: {', '.join(self.dead_drives) or 'none'}"


def read() -> Counters:
    """Of what there is; a machine without EDAC or drives counts nothing."""
    names = sorted(EDAC.glob("mc[0-9]*"))
    states = [*((path, "state") for path in sorted(NVME.glob("nvme*"))), *_scsi()]
    dead = [f"{path.name} is {state}" for path, name in states if (state := _text(path / name)) and state not in WELL]
    return Counters(
        sum(_count(path / "ue_count") for path in names),
        sum(_count(path / "ce_count") for path in names),
        tuple(dead),
        f"{EDAC}: {len(names)} memory controllers",
    )


def _scsi() -> list[tuple[Path, str]]:
    return [(path, "device/state") for path in sorted(BLOCK.glob("sd*"))]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _count(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else 0
