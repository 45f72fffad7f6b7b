"""The log of a child: what it prints, without secrets, in a file that only the supervisor opens.

A child prints into a pipe. A thread of the supervisor takes whole lines from it, so that nothing is on the disk before
it was redacted, and a child that prints without end fills no disk.
"""

import contextlib
import fcntl
import os
import select
import struct
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from dgxcert.redaction import scrubber

CHUNK = 65536
LONGEST_LINE = 65536
LARGEST = 2 * 1024**3
"""Bytes of a log that are kept, if its child is not ended before that for printing too much."""
SEEN_AT_ONCE = 8 * 1024**2
"""Bytes of a log that are looked through together once it is whole."""
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
            self._keep(_scrubbed(whole))
            del self._pending[:end]

    def _look_again(self) -> None:
        """Redact the whole once more: a secret may have come in two parts, a while apart."""
        try:
            with (
                self.path.open("rb") as written,
                tempfile.SpooledTemporaryFile(SEEN_AT_ONCE, dir=str(self.path.parent)) as redacted,
            ):
                if all(same for _, same in self._seen(written)):
                    return  # as nearly always, so that a full disk is not asked for more
                written.seek(0)
                for piece, _ in self._seen(written):
                    redacted.write(piece)
                redacted.seek(0)
                self._empty()
                while piece := redacted.read(CHUNK):
                    self._keep(piece)
        except OSError as error:
            self._empty()
            self._keep(f"(the log was not kept: it could not be redacted: {error.strerror})\n".encode())

    def _seen(self, written: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
        """The pieces of a log without secrets, and whether each is as it was written."""
        same = True

        def scrubbed(pieces: Iterator[bytes]) -> Iterator[bytes]:
            nonlocal same
            for piece in pieces:
                clean = _scrubbed(piece)
                same = same and clean == piece
                yield clean

        pieces = scrubbed(_pieces(iter(lambda: written.read(CHUNK), b""), SEEN_AT_ONCE))
        if os.fstat(written.fileno()).st_size > SEEN_AT_ONCE:  # once more, with other ends of the pieces
            pieces = scrubbed(_pieces(pieces, SEEN_AT_ONCE // 2))
        for piece in pieces:
            yield piece, same

    def _empty(self) -> None:
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._left = LARGEST

    def _keep(self, content: bytes) -> None:
        if self._left <= 0:
            return
        if len(content) > self._left:
            content = content[: self._left] + b"\n(the log ends here: it has reached its limit)\n"
        self._left -= len(content)
        try:
            while content:
                content = content[os.write(self._file, content) :]
        except OSError as error:
            self._left = 0  # the child must not wait for a full disk
            self._end(f"\n(the log ends here: {error.strerror})\n".encode())

    def _end(self, said: bytes) -> None:
        """Say why the log ends, over its last bytes: a full disk has no room for more."""
        with contextlib.suppress(OSError):
            os.pwrite(self._file, said, max(os.fstat(self._file).st_size - len(said), 0))


def _scrubbed(content: bytes) -> bytes:
    return scrubber.text(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _pieces(chunks: Iterator[bytes], first: int) -> Iterator[bytes]:
    r"""Whole lines of at least SEEN_AT_ONCE bytes together, and of `first` bytes at the beginning.

    >>> list(_pieces(iter([b"a\nb", b"c\nd"]), first=3))
    [b'a\n', b'bc\nd']
    """
    held, enough = bytearray(), first
    for chunk in chunks:
        held += chunk
        end = held.rfind(b"\n") + 1 if len(held) >= enough else 0
        if end or len(held) > 2 * enough:
            yield bytes(held[: end or len(held)])
            del held[: end or len(held)]
            enough = SEEN_AT_ONCE
    if held:
        yield bytes(held)
