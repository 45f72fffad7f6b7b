"""The NVIDIA kernel module that is loaded: its version, and whether it is the open one, which Blackwell needs."""

import re
from dataclasses import dataclass
from pathlib import Path

from dgxcert.outcome import Inconclusive

VERSION = Path("/proc/driver/nvidia/version")

LINE = re.compile(
    r"^NVRM version: NVIDIA UNIX (?P<open>Open )?(?:\S+ )?Kernel Module(?: for \S+)?\s+(?P<version>\d+(?:\.\d+)+)\s",
    re.MULTILINE,
)


@dataclass(frozen=True)
class KernelModule:
    """`version` as NVIDIA writes it, like `580.126.09`."""

    version: str
    is_open: bool


def read() -> KernelModule:
    """The module that is loaded; raises Inconclusive where none is, or where it cannot be read."""
    try:
        return parse(VERSION.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError as error:
        raise Inconclusive(
            f"no NVIDIA kernel module is loaded: there is no {VERSION}",
            "Load it: sudo modprobe nvidia; what it says is in: sudo dmesg | grep NVRM",
            "See GPU-PRESENT.",
        ) from error
    except OSError as error:
        raise Inconclusive(f"{VERSION} cannot be read: {error.strerror}", f"Try: sudo cat {VERSION}") from error


def parse(text: str) -> KernelModule:
    """The module that a text of /proc/driver/nvidia/version names.

    Its first line is `NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.126.09  Release Build ...`, or of
    the proprietary module `NVRM version: NVIDIA UNIX x86_64 Kernel Module  515.76  Mon Sep 12 ...`. Raises Inconclusive
    for any other.
    """
    found = LINE.search(f"{text}\n")
    if found is None:
        raise Inconclusive(f"{VERSION} names no version: {text.strip()[:200] or 'it is empty'}", f"Try: cat {VERSION}")
    return KernelModule(found["version"], found["open"] is not None)
