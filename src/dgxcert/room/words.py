"""Words: what Ansible, SSH, sudo or a host itself said, as a word with a sentence and a remedy. Pure.

The messages are OpenSSH's (sshconnect.c, ssh.c, packet.c), sudo's, glibc's and ansible-core's own
(plugins/connection/ssh.py, plugins/become/sudo.py, executor/task_executor.py).
"""

import re
import shlex
from dataclasses import dataclass

from dgxcert.console import clipped, on_one_line
from dgxcert.record.room.word import Word
from dgxcert.room.ansible.events import HostEvent

SAID_CHARS = 300
ANSWERS = "answers"
"""The first task on a host: nothing was begun there yet."""


@dataclass(frozen=True)
class Known:
    """What one kind of message means."""

    word: Word
    says: re.Pattern[str]
    remedy: tuple[str, ...]


def _known(word: Word, says: str, *remedy: str) -> Known:
    return Known(word, re.compile(says, re.IGNORECASE), remedy)


OURS = re.compile(r"dgxcert wrong=(?:disk: )?(.*)")
SHOWN_KEY = re.compile(r"fingerprint for the (\S+) key sent by the remote host is\s+(SHA256:[A-Za-z0-9+/=]+)")
PINNED = re.compile(r"Offending \S+ key in (?P<file>[^\r\n]+):\d+.*?Host key for (?P<host>\S+) has changed", re.DOTALL)
"""What OpenSSH (sshconnect.c) says of a key that is not the pinned one."""
KNOWN = (
    _known(
        Word.PASSWORD,
        r"no such identity|unprotected private key file"
        r"|load key .*: (?:bad permissions|invalid format|error in libcrypto)",
        "Correct ansible_ssh_private_key_file, or who may read that file: chmod 600 FILE",
    ),
    KNOWN_KEY := _known(
        Word.KEY_CHANGED,
        r"remote host identification has changed|host key verification failed|host key for .* has changed"
        r"|using a ssh password instead of a key is not possible because host key checking",
        "Find out why, on the host itself: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
    ),
    _known(
        Word.SUDO,
        r"missing sudo password|incorrect sudo password|sudo: .*password is required|is not in the sudoers file"
        r"|may not run sudo|is not allowed to (?:execute|run)|sudo: .*try again|sorry, try again"
        r"|waiting for privilege escalation prompt|privilege output closed|sudo: .*(?:no tty|terminal is required)"
        r"|sudo: (?:command )?not found|unknown user",
        "Have its sudo password asked for: --ask-sudo-password; and look there who may use sudo: sudo -l",
    ),
    _known(
        Word.DISK,
        r"no space left on device|disk quota exceeded|read-only file system|dgxcert wrong=disk",
        "Free space there, and look: df -h",
    ),
    _known(
        Word.PASSWORD,
        r"permission denied \(|permission denied, please try again|too many authentication failures"
        r"|invalid/incorrect password|invalid/incorrect username"
        r"|no more authentication methods|no supported authentication methods|(?:account .*|password) has expired"
        r"|this account is currently not available",
        "Log in there by hand: ssh USER@HOST; and have a password asked for: --ask-password",
    ),
    _known(
        Word.REFUSED,
        r"connection refused",
        "Start its SSH service, on the host itself: sudo systemctl start ssh",
    ),
    _known(
        Word.NO_ROUTE,
        r"no route to host|network is unreachable|could not resolve hostname|name or service not known"
        r"|temporary failure in name resolution|host is down|no address associated|operation timed out"
        r"|connect to (?:host|address) .* timed out",
        "Look whether it is on, its cable and its address: ping -c 3 HOST",
    ),
    _known(
        Word.TIME_OUT,
        r"timed out after \d+ second|banner exchange|kex_exchange_identification|connection closed by"
        r"|connection reset by|connection timed out|timeout exceeded|did not answer within",
        "Log in there by hand, and look what hangs: ssh -v USER@HOST",
    ),
    _known(
        Word.NO_PYTHON,
        r"python[0-9.]*: (?:command )?not found|python[0-9.]*: no such file|module interpreter .* was not found"
        r"|no usable python|discovery of python .* failed|interpreter discovery",
        "Install one there: sudo apt install python3 python3-venv",
    ),
)


def explain(event: HostEvent) -> tuple[Word, str, tuple[str, ...]]:
    """The word for a host of which Ansible reported a failure, what was said in one sentence, and what to do.

    >>> explain(HostEvent("", "unreachable", "a", "answers", msg="ssh: connect to host b: Connection refused"))[:2]
    (<Word.REFUSED: 'refused'>, 'ssh: connect to host b: Connection refused')
    """
    text = "\n".join((event.msg, event.stderr, event.stdout))
    said = _sentence(event)
    if KNOWN_KEY.says.search(text):
        return Word.KEY_CHANGED, _of_key(text), (*KNOWN_KEY.remedy, *_forget(text))
    for known in KNOWN:
        if known.says.search(text):
            word = Word.DIED if known.word in ON_THE_WAY and event.task != ANSWERS else known.word
            return word, said, known.remedy
    if event.kind == "unreachable":
        word = Word.DIED if event.task != ANSWERS else Word.TIME_OUT
        return word, said, ("Look whether it is on, and whether its SSH service answers: ssh USER@HOST",)
    return Word.NOT_STARTED, said, ("Log in there by hand, and try what failed.",)


def _of_key(text: str) -> str:
    """What a host showed in place of the key that is pinned."""
    found = SHOWN_KEY.search(text)
    shown = f"; it shows {found.group(1)} {found.group(2)}" if found else ""
    return f"its host key is not the one that this room knows{shown}"


def _forget(text: str) -> tuple[str, ...]:
    """How the pinned key is forgotten; ssh names it only where it was not given a password."""
    if found := PINNED.search(text):
        file, host = shlex.quote(found.group("file")), shlex.quote(found.group("host"))
        return (f"Only if it was reinstalled, forget the key: ssh-keygen -f {file} -R {host}",)
    return ("Only if it was reinstalled: take its line out of the file of host keys that `dgxcert room check` names.",)


ON_THE_WAY = (Word.REFUSED, Word.NO_ROUTE, Word.TIME_OUT)
"""What means, of a host that had answered before, that it died on the way."""


def _sentence(event: HostEvent) -> str:
    """The line that says most: our own, else that of a known message, else the last one."""
    text = "\n".join((event.stdout, event.stderr, event.msg))
    if ours := OURS.search(text):
        return clipped(on_one_line(ours.group(1).strip()), SAID_CHARS)
    lines = [line.strip() for line in text.replace("\r", "").split("\n") if line.strip()]
    meant = next((known for known in KNOWN if known.says.search(text)), None)
    telling = [line for line in lines if meant and meant.says.search(line)]
    last = (telling or [line for line in lines if not line.startswith("dgxcert ")] or [f"exit code {event.rc}"])[-1]
    short = re.sub(r"^(?:Task failed: )?(?:Failed to connect to the host via ssh: )?(?:[^\s@]+@\S+: )?|\.$", "", last)
    return clipped(on_one_line(short), SAID_CHARS)
