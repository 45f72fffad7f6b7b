"""The package: this suite as one file, which a host proves to be what was delivered, every file of it."""

from dataclasses import dataclass
from pathlib import Path

from dgxcert.plan import suite as suites
from dgxcert.plan.suite import Suite
from dgxcert.room.delivery import archive
from dgxcert.room.delivery.archive import Archive

FOLDER = ".delivery"


@dataclass(frozen=True)
class Package:
    """What is delivered."""

    suite: Suite
    root: Path
    archive: Archive

    @property
    def commit(self) -> str:
        """The commit; "" for a wheel."""
        return "" if self.suite.installed else self.suite.commit or ""

    @property
    def note(self) -> str:
        """What the user should know of what is delivered; "" where it is simply this dgxcert."""
        return archive.note(self.suite)


def require() -> Suite:
    """The suite that a room validates with. Raises CannotStart where it is none that can be handed on."""
    suite = suites.identity(suites.root())
    archive.require(suite)
    return suite


def make(folder: Path) -> Package:
    """Pack this commit, and nothing of the working tree, or this wheel, below a folder. Raises CannotStart."""
    suite, root = require(), suites.root()
    return Package(suite, root, archive.make(suite, root, folder.resolve() / FOLDER))
