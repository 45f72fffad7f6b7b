"""Starts a program of Ansible's that the kernel ends with its parent: `python -m … PARENT NAME ARGUMENTS`.

A controller that is killed must leave nothing that goes on talking to hosts.
"""

import os
import sys

from dgxcert import command

if __name__ == "__main__":
    command.die_with_parent(int(sys.argv[1]))
    os.execv(sys.executable, [sys.executable, "-m", "ansible", *sys.argv[2:]])  # noqa: S606 (that it becomes)
