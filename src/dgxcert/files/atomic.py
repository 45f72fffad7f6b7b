"""Files appear whole or not at all: written under a temporary name, synced, then renamed."""

import os
import tempfile
from pathlib import Path

from dgxcert.outcome import CannotStart


def write_text(path: Path, text: str) -> None:
    """Write a file in one step. Raises CannotStart where that fails, and leaves the existing file as it was.

    >>> folder = tempfile.mkdtemp()
    >>> write_text(Path(folder) / "run.json", "{}")
    >>> os.listdir(folder)
    ['run.json']
    """
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # before the rename: a power cut must not leave a new name with no content
        os.chmod(temporary, 0o644)  # mkstemp makes it readable by its owner only
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise CannotStart(
            f"{path} cannot be written: {error.strerror}.",
            f"Free some space or fix the permissions, then: dgxcert validate --resume {path.parent}",
        ) from error
