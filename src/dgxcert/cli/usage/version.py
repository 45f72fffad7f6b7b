"""The version: of the package, the commit of its checkout, and the hash of the suite that its statements name."""

import typer

from dgxcert.cli import screen
from dgxcert.console import on_one_line


def show(wanted: bool) -> None:
    """Print version, commit and hash of the suite, and exit."""
    if wanted:
        for line in lines():
            screen.say(on_one_line(line))
        raise typer.Exit


def lines() -> list[str]:
    """One line each: version, commit of the checkout where there is one, hash of everything that affects a result."""
    from dgxcert.plan import suite

    identity = suite.identity(suite.root())
    state = {True: "modified", False: "not modified", None: "unknown whether modified"}[identity.modified]
    why = f": {identity.reason}" if identity.reason else ""
    return [
        f"dgxcert {identity.version}",
        f"commit  {identity.commit or 'none'}, {state}{why}",
        f"suite   sha256:{identity.sha256}",
    ]
