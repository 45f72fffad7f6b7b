"""One Python package: whether it imports, in a process of its own, and in which version."""

import functools
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from dgxcert import command
from dgxcert.machine.software import STACK, version
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import beside, intruder

MODULES = {"scikit-learn": "sklearn", "huggingface-hub": "huggingface_hub", "hf-xet": "hf_xet"}
"""Distributions whose module has another name."""

LIMIT_S = 120.0
"""A healthy machine needs a tenth of it."""
MAX_PARALLEL = 4
"""Imports at a time, at most one per core: each keeps a core busy and takes half a GiB."""

KILLED = -9
PROGRAM = "import importlib, sys; print('at', getattr(importlib.import_module(sys.argv[1]), '__file__', ''))"


@dataclass(frozen=True)
class Package:
    """The result of an import; `problem` is the error, empty where it succeeded."""

    name: str
    version: str
    location: str
    problem: str
    remedy: tuple[str, ...] = ()
    """What takes away the package beside the lock that the error comes from; empty where none is seen."""

    @property
    def imports(self) -> bool:
        """Whether the import succeeded."""
        return not self.problem

    @property
    def source(self) -> str:
        """How the result was obtained, with the error or the file."""
        return f"import {self.name}, in a fresh process: {self.problem or self.location}"


def module(distribution: str) -> str:
    """The module that a distribution installs.

    >>> module("scikit-learn"), module("peft")
    ('sklearn', 'peft')
    """
    return MODULES.get(distribution, distribution)


def read(distribution: str) -> Package:
    """The result of importing a package, by its distribution name.

    Raises Inconclusive where the import timed out, or its process was killed.
    """
    # Most packages load torch again, for seconds: the imports of the packages that follow are started meanwhile.
    names = STACK[STACK.index(distribution) :] if distribution in STACK else (distribution,)
    started = [_start(name) for name in names[: _parallel()]]
    return started[0].result()


@functools.cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_parallel(), thread_name_prefix="import")


def _parallel() -> int:
    return min(MAX_PARALLEL, len(os.sched_getaffinity(0)))


@functools.cache
def _start(distribution: str) -> "Future[Package]":
    return _workers().submit(import_in_new_process, distribution)


def import_in_new_process(distribution: str) -> Package:
    """Import a package in a new process, where nothing is loaded or broken yet. Raises what `read` raises."""
    installed = version(distribution)
    if installed is None:
        return Package(distribution, "not installed", "", f"{distribution} is not installed")
    done = command.run([sys.executable, "-P", "-c", PROGRAM, module(distribution)], timeout_s=LIMIT_S)
    if done.timed_out:
        raise Inconclusive(
            f"import {distribution} timed out after {LIMIT_S:.0f} s",
            f"See which module is slow: {sys.executable} -X importtime -c 'import {module(distribution)}'",
            "If the stack is on a network file system, install it on a local disk.",
        )
    if done.returncode == KILLED:
        raise Inconclusive(
            f"import {distribution} was killed", "Look for the OOM killer: sudo dmesg | grep -i oom; free -g"
        )
    location, problem = parse(done)
    guilty = intruder.of_output(done.stderr, beside.of_this_environment()) if problem else None
    if guilty is None:
        return Package(distribution, installed, location, problem)
    return Package(distribution, installed, location, intruder.problem(problem, guilty), guilty.removal)


def parse(done: command.Completed) -> tuple[str, str]:
    """The module's file and the error, one of them empty, in what the process printed.

    >>> parse(command.Completed(("python",), 0, "at /site/peft/__init__.py\\n", ""))
    ('/site/peft/__init__.py', '')
    >>> parse(command.Completed(("python",), 1, "", "Traceback ...\\nImportError: libcuda.so.1: cannot open"))
    ('', 'ImportError: libcuda.so.1: cannot open')
    """
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode == 0 and last.startswith("at "):
        return last.removeprefix("at "), ""
    if done.returncode is not None and done.returncode < 0:
        return "", f"the process died by signal {-done.returncode}"
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    return "", lines[-1].strip()[:300]
