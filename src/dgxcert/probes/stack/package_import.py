"""One Python package: whether it imports, in a process of its own, and in which version.

Fresh processes, because what another check has loaded or broken must not count; several at a time, because most of
them load torch again. Each has a hard limit.
"""

import functools
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from dgxcert import command
from dgxcert.machine.software import STACK, version
from dgxcert.outcome import Inconclusive

MODULES = {"scikit-learn": "sklearn", "huggingface-hub": "huggingface_hub", "hf-xet": "hf_xet"}
"""Distribution names that differ from what one imports."""

LIMIT_S = 120.0
"""A healthy machine needs a tenth of it."""
AT_ONCE = 4
"""Imports that run side by side, where there are so many cores: each keeps one busy and takes half a GiB."""

KILLED = -9
PROGRAM = "import importlib, sys; print('at', getattr(importlib.import_module(sys.argv[1]), '__file__', ''))"


@dataclass(frozen=True)
class Package:
    """`problem` says why it does not import; empty when it does."""

    name: str
    version: str
    location: str
    problem: str

    @property
    def imports(self) -> bool:
        """Whether it loaded."""
        return not self.problem

    @property
    def says(self) -> str:
        """What came of the import, for a record."""
        return f"import {self.name}, in a fresh process: {self.problem or self.location}"


def module(distribution: str) -> str:
    """What one imports of a distribution."""
    return MODULES.get(distribution, distribution)


def read(distribution: str) -> Package:
    """Import a package by its distribution name, and say what came of it; the next ones of the stack are begun.

    Raises Inconclusive where it came to no end, or was killed from outside.
    """
    names = STACK[STACK.index(distribution) :] if distribution in STACK else (distribution,)
    begun = [_begun(name) for name in names[: _at_once()]]
    return begun[0].result()


@functools.cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_at_once(), thread_name_prefix="import")


def _at_once() -> int:
    return min(AT_ONCE, len(os.sched_getaffinity(0)))


@functools.cache
def _begun(distribution: str) -> "Future[Package]":
    return _workers().submit(imported, distribution)


def imported(distribution: str) -> Package:
    """Import a package in a fresh process; raises what `read` raises."""
    found = version(distribution)
    if found is None:
        return Package(distribution, "not installed", "", f"{distribution} is not installed")
    asked = command.run([sys.executable, "-P", "-c", PROGRAM, module(distribution)], timeout_s=LIMIT_S)
    if asked.timed_out:
        raise Inconclusive(
            f"import {distribution} came to no end within {LIMIT_S:.0f} s",
            f"Look where it waits: {sys.executable} -X importtime -c 'import {module(distribution)}'",
            "A disk across the network may be slow: install the stack on a disk of this machine.",
        )
    if asked.returncode == KILLED:
        raise Inconclusive(f"import {distribution} was killed from outside", "Look: sudo dmesg | grep -i oom; free -g")
    return Package(distribution, found, *outcome(asked))


def outcome(asked: command.Completed) -> tuple[str, str]:
    """Where it lies and why it did not import, one of them empty, from what the process printed."""
    last = (asked.stdout.strip().splitlines() or [""])[-1]
    if asked.returncode == 0 and last.startswith("at "):
        return last.removeprefix("at "), ""
    if asked.returncode is not None and asked.returncode < 0:
        return "", f"the process died by signal {-asked.returncode}"
    complaint = [line for line in asked.stderr.splitlines() if line.strip()] or [f"ended with {asked.returncode}"]
    return "", complaint[-1].strip()[:300]
