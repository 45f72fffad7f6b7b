"""States of the client's folders: of another user, a link that leads nowhere, a file in the way, a lock held."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

OTHER_USER = 12345
HELD_FOR_S = 90
HOLDS = "import fcntl, os, signal, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); "
STOPS = "os.kill(os.getpid(), signal.SIGSTOP)"
OVERRIDING = "-dac_override,-dac_read_search,-fowner,-chown"
"""The capabilities by which root works in everybody's folders."""


def make(path: Path, state: str) -> None:
    """Make a folder or file of the client in one of its states."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match state:
        case "folder":
            path.mkdir(exist_ok=True)
        case "linked":
            moved = path.parent.parent / "disk"
            shutil.move(path, moved)
            path.symlink_to(moved)
        case "locked":
            path.mkdir()
            path.chmod(0o555)
            if os.geteuid() == 0:
                os.chown(path, OTHER_USER, OTHER_USER)
        case "dangling":
            path.symlink_to(path.parent / "gone")
        case "file":
            path.write_text("")
        case "held":
            _hold(path)
        case _:
            raise ValueError(f"no state of a folder is called {state}")


def _hold(lock: Path) -> None:
    """A process that takes a lock and stops, as one does after Ctrl-Z; `timeout` kills it in the end."""
    program = ["timeout", "-s", "KILL", str(HELD_FOR_S), sys.executable, "-c", HOLDS + STOPS, str(lock)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, start_new_session=True)
    if process.stdout is not None:
        process.stdout.readline()
        process.stdout.close()


def as_a_user(folders: Mapping[str, str]) -> list[str]:
    """What runs a program without root's way into everybody's folders, where a case needs that."""
    if os.geteuid() != 0 or "locked" not in folders.values():
        return []
    return ["setpriv", "--bounding-set", OVERRIDING, "--inh-caps", OVERRIDING]
