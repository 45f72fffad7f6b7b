"""The tools that show the kernel log, each with a limit of time and of lines."""

import os
import re

from dgxcert import command
from dgxcert.outcome import Inconclusive

TIMEOUT_S = 10.0
MOST_LINES = 200_000
"""The last lines of a log that are read: 20 MB, judged in 10 s. A log of more lines has lost its beginning."""
DMESG = ["dmesg"]
JOURNAL = ["journalctl", "-k", "-b", "--no-pager", "-o", "short-monotonic", "-n", str(MOST_LINES)]
COMMANDS = (DMESG, JOURNAL)

PREFIX = re.compile(
    r"(?:<\d+>)?(?:\w+\s*:\w+\s*: )?"  # /dev/kmsg; `dmesg -x`
    r"(?:\[\s*(\d+\.\d+)\]|\[\w{3} \w{3} +\d+ [\d:]+ \d{4}\]|\d{4}-\d\d-\d\dT\S+|\w{3} +\d+ \d\d:\d\d:\d\d)?"
    r"\s*(?:\[\s*[TC]\d+\])?\s*(?:\S+ kernel: )?"  # thread or CPU; journalctl
)


def run(args: list[str]) -> str:
    """The output of dmesg or journalctl; raises Inconclusive where it is missing, fails, hangs or shows nothing."""
    try:
        completed = command.run(args, timeout_s=TIMEOUT_S, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise Inconclusive(f"{args[0]}: {error.strerror}") from error
    if completed.returncode != 0:
        raise Inconclusive(completed.complaint)
    # journalctl exits with 0 and shows the user's own messages where it may not show the kernel's.
    if "not seeing messages from other users and the system" in completed.stderr + completed.stdout:
        raise Inconclusive(f"{args[0]} does not show the system's messages to this user")
    first = next(iter(lines(completed.stdout)), "")
    if not first:
        raise Inconclusive(f"{args[0]} shows an empty log")
    if "Starting gVisor" in first:
        raise Inconclusive(f"{args[0]} shows the log of a sandbox (gVisor), not of this machine's kernel")
    return completed.stdout


def lines(text: str) -> list[str]:
    """The log's own lines, without journalctl's remarks, which begin with `-- `.

    >>> lines("-- Boot 6f7f0b1c --" + chr(10) + "[    0.000000] Linux version 6.17")
    ['[    0.000000] Linux version 6.17']
    """
    return [line for line in text.splitlines() if line.strip() and not line.startswith("-- ")][-MOST_LINES:]
