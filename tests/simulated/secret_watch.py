"""Whether a secret is ever written to a file in a folder, or stands in the arguments of any process."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

EVERY_S = 0.2


class Watch:
    """Looks at a folder's files, and at /proc/*/cmdline, all the time from `__enter__` to `__exit__`.

    What lies in a folder called `private` is where the secret comes from, and is left out.
    """

    def __init__(self, folder: Path, secrets: Mapping[str, str]) -> None:
        self.folder = folder
        self.secrets = {name: secret.encode() for name, secret in secrets.items()}
        self.looks = 0
        self.files = 0
        self._seen: set[str] = set()
        self._known: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def found_in(self, part: str) -> list[str]:
        """Where a secret was seen: in this part of the folder, or, for an empty one, in a process's arguments."""
        start = f"{self.folder}/{part}" if part else "/proc/"
        ends = ("/", "-again/") if part else ("",)
        return sorted(seen for seen in self._seen if any(f" {start}{end}" in seen for end in ends))

    def look(self) -> None:
        """Look once."""
        with self._lock:
            self.looks += 1
            for process in os.listdir("/proc"):
                if process.isdigit():
                    self._read(f"/proc/{process}/cmdline")
            for folder, folders, names in os.walk(self.folder):
                folders[:] = [name for name in folders if name != "private"]
                for name in names:
                    self._read_if_new(f"{folder}/{name}")

    def _go_on(self) -> None:
        while not self._over.wait(EVERY_S):
            self.look()

    def _read_if_new(self, path: str) -> None:
        try:
            now = os.lstat(path)
        except OSError:
            return
        if self._known.get(path) != (now.st_size, now.st_mtime_ns):
            self._known[path] = (now.st_size, now.st_mtime_ns)
            self._read(path)

    def _read(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:  # gone, or a process that has ended
            return
        self.files += 1
        self._seen |= {f"{name} stood in {path}" for name, secret in self.secrets.items() if secret in data}
