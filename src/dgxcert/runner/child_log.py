"""The log of a child: what it prints, without secrets, in a file that only the supervisor opens.

A child prints into a pipe. A thread of the supervisor takes whole lines from it, so that nothing is on the disk before
it was redacted, and a child that prints without end fills no disk.
"""

import fcntl
import os
import select
import struct
import termios
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from dgxcert.files import untrusted
from dgxcert.redaction import scrubber

CHUNK = 65536
LONGEST_LINE = 65536
LARGEST = 2 * 1024**3
"""Bytes of a log that are kept, if its child is not ended before that for printing too much."""
LARGEST_SEEN_WHOLE = 8 * 1024**2
IDLE_S = 0.2
"""How long nothing has to come before lines are written: a secret may go on in the next one."""
GRACE_S = 2.0
"""How long to wait for what a child's own children still print after it."""
KEY, END_OF_KEY = b"-----BEGIN ", b"-----END "


class ChildLog:
    """A log while a child prints into `pipe`.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "native-1.log")
    >>> with ChildLog(path.open("xb"), path) as log:
    ...     _ = log.pipe.write(b"HF_TOKEN=x7Qm2kLp\\n")
    >>> path.read_text()
    'HF_TOKEN=[secret]\\n'
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        """Take over a new file, open for writing, that lies at `path`."""
        self.path, self.file = path, file
        self._file = file.fileno()
        self._from, to = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._from, False)
        self.pipe = os.fdopen(to, "wb", buffering=0)
        self._pending = bytearray()
        self._left = LARGEST
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._pump, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.pipe.close()
        self._thread.join(GRACE_S)
        self._ending.set()
        self._thread.join()
        self._look_again()
        os.close(self._from)
        self.file.close()

    def settled(self) -> Path:
        """The path, once all that was printed so far is in the file; it waits for a second at most."""
        until = time.monotonic() + 1.0
        while (self._waiting_bytes() or self._pending) and time.monotonic() < until:
            time.sleep(IDLE_S / 10)
        return self.path

    def _waiting_bytes(self) -> int:
        count: int = struct.unpack("i", fcntl.ioctl(self._from, termios.FIONREAD, b"\0" * 4))[0]
        return count

    def _pump(self) -> None:
        while True:
            ready, _, _ = select.select([self._from], [], [], IDLE_S)
            if self._ending.is_set():  # also where something goes on printing that has outlived its child
                break
            if not ready:
                self._write(keep=0)
                continue
            chunk = os.read(self._from, CHUNK)
            if not chunk:
                break
            self._pending += chunk
            if len(self._pending) > LONGEST_LINE:  # otherwise its end, or the next line, may be about to come
                self._write(keep=1)
        self._write(keep=-1)

    def _write(self, keep: int) -> None:
        """Write what is pending but for the last `keep` whole lines and what has no end yet; -1 writes that too."""
        end = len(self._pending)
        if keep >= 0:
            for _ in range(keep + 1):
                end = self._pending.rfind(b"\n", 0, max(end - 1, 0) if end < len(self._pending) else end) + 1
            if len(self._pending) > LONGEST_LINE:
                end = end or len(self._pending)
            elif self._pending.rfind(KEY, 0, end) > self._pending.rfind(END_OF_KEY, 0, end):
                end = self._pending.rfind(KEY, 0, end)  # a private key is redacted as a whole
        whole = bytes(self._pending[:end])
        if whole:
            self._keep(scrubber.text(whole.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"))
            del self._pending[:end]

    def _look_again(self) -> None:
        """Redact the whole once more: a secret may have come in two parts, a while apart."""
        size = os.fstat(self._file).st_size
        content = untrusted.read_bytes(self.path, size) if size <= LARGEST_SEEN_WHOLE else b""
        redacted = scrubber.text(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if redacted != content:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            self._left = LARGEST
            self._keep(redacted)

    def _keep(self, content: bytes) -> None:
        if self._left <= 0:
            return
        if len(content) > self._left:
            content = content[: self._left] + b"\n(the log ends here: it has reached its limit)\n"
        self._left -= len(content)
        try:
            while content:
                content = content[os.write(self._file, content) :]
        except OSError:
            self._left = 0  # a full disk ends the log; the record tells of the disk, and the child must not wait
