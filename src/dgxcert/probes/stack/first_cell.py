"""First cell: the packages of the course import one after the other in one new process, as in its notebooks."""

import sys
from dataclasses import dataclass, replace

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import beside, intruder, package_import

PACKAGES = ("transformers", "datasets", "peft", "accelerate", "evaluate", "scikit-learn")
"""The distributions that module 2.5 of the course names."""

LIMIT_S = 150.0
"""Ten times what a slow machine needs."""

# BaseException: an import that calls sys.exit() is a result as well, and the next package is still tried.
PROGRAM = """
import importlib, sys, traceback
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        message = " ".join(str(error).split())[:200]
        print("dgxcert: no", name, f"{type(error).__name__}: {message}", flush=True)
        traceback.print_exc()
    else:
        print("dgxcert: yes", name, flush=True)
"""


@dataclass(frozen=True)
class FirstCell:
    """The packages that do not import, by distribution, with the error of each."""

    problems: dict[str, str]
    remedy: tuple[str, ...] = ()
    """What takes away the package beside the lock that the first error comes from; empty where none is seen."""

    @property
    def source(self) -> str:
        """How the result was obtained, with the errors."""
        errors = "; ".join(f"{name}: {error}" for name, error in self.problems.items())
        return f"import {', '.join(PACKAGES)} in one fresh process{': ' + errors if errors else ''}"


def read() -> FirstCell:
    """Import the packages. Raises Inconclusive where the process timed out or was killed."""
    modules = map(package_import.module, PACKAGES)
    done = command.run([sys.executable, "-P", "-c", PROGRAM, *modules], timeout_s=LIMIT_S)
    if done.timed_out or done.returncode == package_import.KILLED:
        raise Inconclusive(
            f"the imports did not finish: {done.complaint}",
            "Look for a busy or full machine: top; free -g; sudo dmesg | tail",
        )
    cell = parse(done.stdout, done.complaint)
    errors = "\n".join(cell.problems.values())
    guilty = intruder.of_output(f"{done.stderr}\n{errors}", beside.of_this_environment()) if errors else None
    return replace(cell, remedy=guilty.removal) if guilty else cell


def parse(printed: str, complaint: str) -> FirstCell:
    """The result of each package; one without a line is the one at which the process died, with `complaint`.

    >>> parse("dgxcert: yes transformers\\ndgxcert: no datasets ImportError: no pyarrow\\n", "").problems["datasets"]
    'ImportError: no pyarrow'
    """
    results: dict[str, str] = {}
    for line in printed.splitlines():
        if line.startswith("dgxcert: "):
            result, name, *error = line.removeprefix("dgxcert: ").split(" ", 2)
            results[name] = "" if result == "yes" else " ".join(error) or "an unknown error"
    died = f"no answer: {complaint or 'the process ended early'}"
    errors = {name: results.get(package_import.module(name), died) for name in PACKAGES}
    return FirstCell({name: error for name, error in errors.items() if error})
