"""Firmware of the parts: embedded controller, SoC, USB-C power delivery, drives and network cards, without root."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command

DMI = Path("/sys/class/dmi/id")
NVME = Path("/sys/class/nvme")
INFINIBAND = Path("/sys/class/infiniband")
ANSWER_S = 5.0
"""fwupdmgr starts a service on its first call; a machine on which it is slower is recorded without it."""


@dataclass(frozen=True)
class Firmware:
    """Versions by part, as the part's own reporter names it."""

    parts: dict[str, str]

    @property
    def description(self) -> str:
        """Every part with its version.

        >>> Firmware({"Embedded Controller": "0x03000508"}).description
        'Embedded Controller 0x03000508'
        """
        return ", ".join(f"{part} {version}" for part, version in sorted(self.parts.items())) or "none is readable"

    def of(self, *words: str) -> str:
        """The version of the first part whose name has one of these words; empty where there is none."""
        found = (version for part, version in self.parts.items() if any(word in part for word in words))
        return next(found, "")


def read() -> Firmware:
    """What is readable; parts that nothing reports are left out."""
    parts = {"BIOS": _text(DMI / "bios_version"), "Embedded Controller (DMI)": _text(DMI / "ec_firmware_release")}
    parts |= {f"drive {_text(path / 'model')}": _text(path / "firmware_rev") for path in sorted(NVME.glob("nvme*"))}
    parts |= {f"network card {path.name}": _text(path / "fw_ver") for path in sorted(INFINIBAND.glob("*"))}
    parts |= fwupd(_devices())
    return Firmware({part: version for part, version in parts.items() if version})


def fwupd(answer: str) -> dict[str, str]:
    """Versions by name from `fwupdmgr get-devices --json`, of which either key may be missing.

    >>> fwupd('{"Devices": [{"Name": "Embedded Controller", "Version": "0x03000508"}, {"Name": "GPIO controller"}]}')
    {'Embedded Controller': '0x03000508'}
    """
    try:
        devices = json.loads(answer)["Devices"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {str(each["Name"]): str(each["Version"]) for each in devices if {"Name", "Version"} <= set(each)}


def _devices() -> str:
    program = shutil.which("fwupdmgr")
    if program is None:
        return ""
    try:
        return command.run([program, "get-devices", "--json"], timeout_s=ANSWER_S).stdout
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
