"""Files appear whole or not at all: written under a temporary name, synced, then renamed."""

import os
import tempfile
from pathlib import Path

from dgxcert.outcome import CannotStart


def write_text(path: Path, text: str) -> None:
    """Write a file in one step; raises CannotStart when the disk refuses, leaving an older version as it was."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise CannotStart(
            f"{path} cannot be written: {error.strerror}.",
            f"Make room or mend the permissions, then: dgxcert validate --resume {path.parent}",
        ) from error
