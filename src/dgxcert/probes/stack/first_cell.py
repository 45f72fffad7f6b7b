"""First cell: the packages of the course import one after the other in one fresh process, as in its notebooks."""

import sys
from dataclasses import dataclass

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import package_import

PACKAGES = ("transformers", "datasets", "peft", "accelerate", "evaluate", "scikit-learn")
"""What module 2.5 of the course names, by distribution."""

LIMIT_S = 150.0
"""Ten times what a slow machine needs."""

PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        said = " ".join(str(error).split())[:200]
        print("dgxcert: no", name, f"{type(error).__name__}: {said}", flush=True)
    else:
        print("dgxcert: yes", name, flush=True)
"""
"""Whatever an import raises is an answer, and the next package is asked."""


@dataclass(frozen=True)
class FirstCell:
    """What does not import, by distribution, and why."""

    problems: dict[str, str]

    @property
    def says(self) -> str:
        """What came of it, as evidence."""
        told = "; ".join(f"{name}: {why}" for name, why in self.problems.items())
        return f"import {', '.join(PACKAGES)} in one fresh process{': ' + told if told else ''}"


def read() -> FirstCell:
    """Import them; raises Inconclusive where that came to no end or was killed from outside."""
    asked = command.run([sys.executable, "-P", "-c", PROGRAM, *map(package_import.module, PACKAGES)], timeout_s=LIMIT_S)
    if asked.timed_out or asked.returncode == package_import.KILLED:
        raise Inconclusive(f"the imports came to no end: {asked.complaint}", "Look: top; free -g; sudo dmesg | tail")
    return parse(asked.stdout, asked.complaint)


def parse(printed: str, complaint: str) -> FirstCell:
    """What the process printed; a package without an answer died with it, of which `complaint` says more."""
    answers: dict[str, tuple[str, str]] = {}
    for line in printed.splitlines():
        if line.startswith("dgxcert: "):
            answer, name, *why = line.removeprefix("dgxcert: ").split(" ", 2)
            answers[name] = (answer, " ".join(why))
    died = "no", f"no answer: {complaint or 'the process ended early'}"
    found = {name: answers.get(package_import.module(name), died) for name in PACKAGES}
    return FirstCell({name: why for name, (answer, why) in found.items() if answer != "yes"})
