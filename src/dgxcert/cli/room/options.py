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
    return Secrets(
        login=getpass.getpass("SSH password: ") if login else "",
        sudo=getpass.getpass("sudo password: ") if sudo else "",
    )
