"""pip check: which installed packages say that they do not go together."""

import os
import sys

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack.lockfile import StackLock

AGREE = "No broken requirements found."


def read(lock: StackLock) -> list[str]:
    """One line of pip's for each conflict that the base image did not have before.

    Raises Inconclusive where pip cannot be asked.
    """
    ask = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "check"]
    asked = command.run(ask, timeout_s=120, env={**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"})
    if "No module named pip" in asked.stderr:
        raise Inconclusive("this environment has no pip", f"Give it one: {sys.executable} -m ensurepip")
    return [line for line in parse(asked) if line not in lock.conflicts]


def parse(asked: command.Completed) -> list[str]:
    """Every conflict that pip names; raises Inconclusive where it says neither that there are any nor that not."""
    lines = [line.strip() for line in asked.stdout.splitlines() if line.strip()]
    if asked.returncode == 0 and AGREE in lines:
        return []
    conflicts = [line for line in lines if line != AGREE]
    if asked.returncode != 1 or not conflicts:
        raise Inconclusive(f"pip does not tell whether packages agree: {asked.complaint}")
    return conflicts


def about(conflicts: list[str], lock: StackLock) -> list[str]:
    """The packages of the lock that conflicts are about: `peft 0.18.1 has requirement torch>=1.13, but ...`."""
    words = {word.strip("',.;").lower() for line in conflicts for word in line.replace("_", "-").split()}
    wanted = {word.split("<")[0].split(">")[0].split("=")[0].split("!")[0].split("[")[0] for word in words}
    return sorted(name for name in lock.versions if name in words | wanted)
