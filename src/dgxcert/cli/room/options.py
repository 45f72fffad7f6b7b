"""Options that the commands about a room share."""

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgxcert.outcome import CannotStart

if TYPE_CHECKING:
    from dgxcert.room.ansible.secrets import Secrets

InventoryArgument = Annotated[Path, typer.Argument(metavar="ROOM", help="Your Ansible inventory: room.yaml.")]
AskPasswordOption = Annotated[
    bool, typer.Option("--ask-password", "-k", help="Ask for the SSH password; without it keys or an agent are used.")
]
AskSudoPasswordOption = Annotated[bool, typer.Option("--ask-sudo-password", "-K", help="Ask for the sudo password.")]


def secrets(*, login: bool, sudo: bool) -> "Secrets":
    """Ask for the passwords that are wanted, without showing them. Raises CannotStart where nobody can be asked."""
    from dgxcert.room.ansible.secrets import Secrets

    if (login or sudo) and not sys.stdin.isatty():
        raise CannotStart(
            "A password is asked for on a terminal, and there is none.", "Use SSH keys: ssh-copy-id USER@HOST"
        )
    return Secrets(login=_asked("SSH password: ") if login else "", sudo=_asked("sudo password: ") if sudo else "")


def _asked(prompt: str) -> str:
    """A password. Raises CannotStart for one that Ansible cannot hand on: it strips the spaces around it."""
    password = getpass.getpass(prompt)
    if not password or password != password.strip():
        found = "one that begins or ends with a space" if password else "none"
        raise CannotStart(
            f"wanted a password, found {found}.",
            "Use SSH keys, or another password; where none is needed, leave the option out.",
        )
    return password
