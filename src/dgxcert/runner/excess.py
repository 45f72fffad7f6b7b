"""Excess: whether a child fills the disk, with what it prints or with what it keeps."""

import os
import time
from pathlib import Path
from typing import IO

from dgxcert.files.folder import Folder

GIB = 1024**3
MOST_KEPT, MOST_PRINTED = 16 * GIB, GIB
"""Ten times what a burn-in of a day keeps of eight GPUs, and more than any traceback."""
EVERY_S = 1.0
REST = 20
"""Times as long as a look took, the next one waits: a folder of a million files must not keep the supervisor busy."""


class Excess:
    """Watches the folder and the log of one child; called, it says what is too large, or ""."""

    def __init__(self, inside: Path, log: IO[bytes]) -> None:
        self._inside, self._log = inside, log
        self._next = 0.0

    def __call__(self) -> str:
        """What is too large now, or ""; looks once in EVERY_S."""
        began = time.monotonic()
        if began < self._next:
            return ""
        try:
            return self._look()
        finally:
            self._next = began + max(EVERY_S, REST * (time.monotonic() - began))

    def _look(self) -> str:
        if os.fstat(self._log.fileno()).st_size > MOST_PRINTED:
            return f"it had printed more than {MOST_PRINTED / GIB:g} GiB"
        with Folder.opened(self._inside, follow=False) as inside:
            if inside.size_bytes(enough=MOST_KEPT) > MOST_KEPT:
                return f"its folder {self._inside.name} held more than {MOST_KEPT / GIB:g} GiB or as many files"
        return ""
