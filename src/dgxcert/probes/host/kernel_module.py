"""The loaded NVIDIA kernel module: its version, and whether it is the open one, which Blackwell needs."""

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
    """The loaded NVIDIA kernel module."""

    version: str
    """As NVIDIA writes it, e.g. `580.126.09`."""
    is_open: bool


def read() -> KernelModule:
    """The loaded module; raises Inconclusive where none is loaded or its version cannot be read."""
    try:
        return parse(VERSION.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError as error:
        raise Inconclusive(
            f"no NVIDIA kernel module is loaded: there is no {VERSION}",
            "Load it: sudo modprobe nvidia; then read its messages: sudo dmesg | grep NVRM",
            "Fix GPU-PRESENT first.",
        ) from error
    except OSError as error:
        raise Inconclusive(f"{VERSION} cannot be read: {error.strerror}", f"Try: sudo cat {VERSION}") from error


def parse(text: str) -> KernelModule:
    """The module from the text of /proc/driver/nvidia/version; raises Inconclusive where it names no version.

    >>> parse("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.126.09  Release Build  (dvs-builder)")
    KernelModule(version='580.126.09', is_open=True)
    >>> parse("NVRM version: NVIDIA UNIX x86_64 Kernel Module  515.76  Mon Sep 12 19:21:56 UTC 2022")
    KernelModule(version='515.76', is_open=False)
    """
    line = LINE.search(f"{text}\n")
    if line is None:
        raise Inconclusive(f"{VERSION} names no version: {text.strip()[:200] or 'it is empty'}", f"Try: cat {VERSION}")
    return KernelModule(line["version"], line["open"] is not None)
