"""Whether a secret is ever written to a file in a folder, or appears in the arguments of any process."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

INTERVAL_S = 0.2


class Watch:
    """Scans a folder's files and /proc/*/cmdline continuously; a context manager.

    A folder named `private` holds the secret itself, and is excluded.
    """

    def __init__(self, folder: Path, secrets: Mapping[str, str]) -> None:
        self.folder = folder
        self.secrets = {name: secret.encode() for name, secret in secrets.items()}
        self.scans = 0
        self.files = 0
        self._seen: set[str] = set()
        self._known: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def sightings(self, part: str) -> list[str]:
        """Where a secret was seen: in this part of the folder; for an empty `part`, in the arguments of a process."""
        start = f"{self.folder}/{part}" if part else "/proc/"
        ends = ("/", "-again/") if part else ("",)
        return sorted(seen for seen in self._seen if any(f" {start}{end}" in seen for end in ends))

    def scan(self) -> None:
        """Scan once."""
        with self._lock:
            self.scans += 1
            for process in os.listdir("/proc"):
                if process.isdigit():
                    self._read(f"/proc/{process}/cmdline")
            for folder, folders, names in os.walk(self.folder):
                folders[:] = [name for name in folders if name != "private"]
                for name in names:
                    self._read_if_new(f"{folder}/{name}")

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            self.scan()

    def _read_if_new(self, path: str) -> None:
        try:
            status = os.lstat(path)
        except OSError:
            return
        if self._known.get(path) != (status.st_size, status.st_mtime_ns):
            self._known[path] = (status.st_size, status.st_mtime_ns)
            self._read(path)

    def _read(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:  # deleted, or a process that has ended
            return
        self.files += 1
        self._seen |= {f"{name} was in {path}" for name, secret in self.secrets.items() if secret in data}
