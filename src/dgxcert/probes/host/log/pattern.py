"""A row of the tables: the beginning of a line of the kernel log, what it is about and what it means."""

import re
from dataclasses import dataclass
from enum import StrEnum

from dgxcert.probes.host.xid import Kind

PCI = r"[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}"


class Subject(StrEnum):
    """What a line is about; each has a requirement of its own."""

    GPU = "gpu"
    STORAGE = "storage"
    MEMORY = "memory"
    PCIE = "PCIe"
    CPU = "CPU"
    POWER = "power"


@dataclass(frozen=True)
class Pattern:
    """The beginning of a line, what it is called and what it means; `remedy` is a row of `xid.REMEDIES`."""

    regex: re.Pattern[str]
    kind: Kind
    name: str
    """May refer to a group of the pattern: `SXid \\1`."""
    meaning: str
    remedy: str


def fault(regex: str, name: str, meaning: str, remedy: str) -> Pattern:
    """A fault of the machine, which fails."""
    return Pattern(re.compile(regex), Kind.FAULT, name, meaning, remedy)


def suspicious(regex: str, name: str, meaning: str) -> Pattern:
    """A fault, or the consequence of something harmless: the line does not say, so that the log is inconclusive."""
    return Pattern(re.compile(regex), Kind.SUSPICIOUS, name, meaning, "")


def note(regex: str, name: str, meaning: str) -> Pattern:
    """No fault; only recorded."""
    return Pattern(re.compile(regex), Kind.NOTE, name, meaning, "")


def quiet(regex: str) -> Pattern:
    """A line that healthy machines have too, and that is not even recorded."""
    return Pattern(re.compile(regex), Kind.QUIET, "", "", "")
