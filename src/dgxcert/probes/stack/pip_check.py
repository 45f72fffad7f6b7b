"""pip check: the installed packages whose requirements conflict."""

import os
import sys

from dgxcert import command
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack.lockfile import StackLock

NO_CONFLICTS = "No broken requirements found."


def read(lock: StackLock) -> list[str]:
    """The conflicts that the base image did not have, one line of pip's for each.

    Raises Inconclusive where pip is missing or gives no result.
    """
    args = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "check"]
    # In the container there is no virtual environment, and a user may have told pip to insist on one.
    done = command.run(args, timeout_s=120, env={**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"})
    if "No module named pip" in done.stderr:
        raise Inconclusive("this environment has no pip", *lock.restore)
    return [line for line in parse(done) if line not in lock.conflicts]


def parse(done: command.Completed) -> list[str]:
    """Every conflict that pip reports. Raises Inconclusive where it reports neither a conflict nor that there is none.

    >>> conflict = "peft 0.18.1 has requirement torch>=1.13.0, but you have torch 1.12.0."
    >>> parse(command.Completed(("pip", "check"), 1, conflict, "")) == [conflict]
    True
    """
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode == 0 and NO_CONFLICTS in lines:
        return []
    conflicts = [line for line in lines if line != NO_CONFLICTS]
    if done.returncode != 1 or not conflicts:
        raise Inconclusive(f"pip does not report whether packages conflict: {done.complaint}")
    return conflicts
