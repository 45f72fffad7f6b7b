"""Known versions: the combination of system, kernel, driver, toolkit and firmware is held to known_bad.yaml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dgxcert.files import yaml_document
from dgxcert.machine.identity import Machine
from dgxcert.probes.host.engine import settings
from dgxcert.probes.host.hardware import firmware, reserved_memory

TABLE = Path(__file__).with_name("known_bad.yaml")
VENDOR = Path("/sys/class/dmi/id/sys_vendor")
FACTS = ("product", "vendor", "dgx", "kernel", "cmdline", "driver", "vbios", "toolkit", "ec", "soc", "pd")
OFF = re.compile(r"[nN0fF]|[oO][fF]")
"""How the kernel spells `off`: kstrtobool in lib/kstrtox.c."""
BOUND = re.compile(r"(>=|<)(\S+)")


@dataclass(frozen=True)
class Known:
    """What the table says about one machine's versions."""

    facts: Mapping[str, str]
    entries: tuple[Mapping[str, Any], ...]

    @property
    def versions(self) -> str:
        """The combination, for evidence."""
        return ", ".join(f"{name} {value}" for name, value in self.facts.items() if value and name != "cmdline")

    def said(self, severity: str) -> str:
        """What the entries of a severity say, with their sources; `nothing` without one.

        >>> Known({}, ({"severity": "note", "says": "fans stop", "sources": ["NVIDIA forum 378945"]},)).said("note")
        'fans stop (NVIDIA forum 378945)'
        """
        found = [each for each in self.entries if each["severity"] == severity]
        return "; ".join(f"{each['says']} ({', '.join(each['sources'])})" for each in found) or "nothing"

    @property
    def remedy(self) -> tuple[str, ...]:
        """The steps of every fault."""
        return tuple(step for each in self.entries if each["severity"] == "fault" for step in each["remedy"])


def read(machine: Machine) -> Known:
    """What is known about this machine's versions."""
    parts = firmware.read()
    gpu = machine.gpus[0] if machine.gpus else None
    values = (
        gpu.product if gpu else "",
        _text(VENDOR),
        machine.dgx_release or "",
        machine.kernel,
        _text(reserved_memory.CMDLINE),
        machine.driver or "",
        (gpu.vbios if gpu else "") or "",
        settings.version(),
        parts.of("Embedded Controller"),
        parts.of("SoC", "UEFI Device Firmware"),
        parts.of("Power Delivery", "USB-C"),
    )
    return judged(dict(zip(FACTS, values, strict=True)))


def judged(facts: Mapping[str, str]) -> Known:
    """The entries of the table that fit these facts."""
    return Known(facts, tuple(each for each in table() if fits(each["where"], facts)))


@cache
def table() -> tuple[Mapping[str, Any], ...]:
    """The entries of known_bad.yaml."""
    return tuple(yaml_document.load(TABLE, "").content)


def fits(where: Mapping[str, str], facts: Mapping[str, str]) -> bool:
    """Whether every condition holds; a fact that is not known fits none.

    >>> fits({"kernel": ">=7.0.0-1000 <7.0.0-1020", "cmdline": "lacks kho=off"},
    ...     {"kernel": "7.0.0-1019-nvidia", "cmdline": "ro quiet"})
    True
    """
    return all(_holds(str(wanted), facts.get(name, "")) for name, wanted in where.items())


def _holds(wanted: str, fact: str) -> bool:
    if not fact:
        return False
    if wanted.startswith("lacks "):
        name = wanted.removeprefix("lacks ").removesuffix("=off")
        values = [value for key, _, value in (word.partition("=") for word in fact.split()) if key == name]
        return not (values and OFF.match(values[-1]))  # the kernel takes the last of several
    bounds = BOUND.findall(wanted)
    if not bounds:
        return re.search(wanted, fact) is not None
    return all(_numbers(fact) >= _numbers(v) if sign == ">=" else _numbers(fact) < _numbers(v) for sign, v in bounds)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
