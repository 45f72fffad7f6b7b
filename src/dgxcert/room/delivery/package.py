"""The package: this suite as one file, from which a host makes a clone whose every file is what the commit has."""

import os
from dataclasses import dataclass
from pathlib import Path

from dgxcert import command
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite as suites
from dgxcert.plan.suite import Suite
from dgxcert.room import on_host

BUNDLE = "suite.bundle"
REF = "refs/dgxcert/room"
GIT_S = 120.0
AGENT = Path(on_host.__file__).parent / "agent.py"


@dataclass(frozen=True)
class Package:
    """What is delivered."""

    bundle: Path
    commit: str
    suite: Suite

    @property
    def files(self) -> list[dict[str, str]]:
        """The files to copy, with their names on a host."""
        return [{"src": str(AGENT), "dest": "agent.py"}, {"src": str(self.bundle), "dest": BUNDLE}]


def require() -> Suite:
    """The suite that a room validates with. Raises CannotStart where it is none that can be handed on as a commit."""
    suite = suites.identity(suites.root())
    if suite.commit is None:
        raise CannotStart(
            "A room is validated with a commit of dgxcert, and this one is no clone.",
            "Clone dgxcert, and call it there: make room ROOM=room.yaml",
        )
    return suite


def make(folder: Path) -> Package:
    """Pack the commit of this clone into a file of the folder: the commit, and nothing of the working tree.

    Raises CannotStart where git does not.
    """
    suite = require()
    bundle, root = folder.resolve() / BUNDLE, suites.root()
    commit = str(suite.commit)
    if not bundle.is_file():
        new = bundle.parent / f".{BUNDLE}.{os.getpid()}"
        git = ["git", "-C", str(root)]
        _run([*git, "update-ref", REF, commit], "its commit cannot be named")
        try:
            _run([*git, "bundle", "create", "-q", str(new), REF], "it cannot be packed")
            os.replace(new, bundle)
        finally:
            _run([*git, "update-ref", "-d", REF], "its name cannot be removed")
            new.unlink(missing_ok=True)
    return Package(bundle, commit, suite)


def _run(args: list[str], problem: str) -> None:
    done = command.run(args, timeout_s=GIT_S)
    if done.returncode != 0:
        raise CannotStart(
            f"{problem}: {done.complaint}.",
            "A shallow clone cannot be handed on: git fetch --unshallow"
            if _is_shallow(args[2])
            else "Look: git status",
        )


def _is_shallow(root: str) -> bool:
    done = command.run(["git", "-C", root, "rev-parse", "--is-shallow-repository"], timeout_s=GIT_S)
    return done.stdout.strip() == "true"
