"""What Xet storage keeps: a file that the real hf_xet cut into chunks, and what a CAS server says about it."""

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

UPLOAD = """
import sys
from pathlib import Path
import hf_xet
with hf_xet.XetSession().new_upload_commit(endpoint=f"local://{sys.argv[2]}") as commit:
    upload = commit.start_upload_bytes(Path(sys.argv[1]).read_bytes())
sys.stdout.write(upload.result().xet_info.hash)
"""
CHUNK_HEADER = 8
"""Bytes before each chunk: version, stored length (3), compression, length of what is inside (3); then the chunk."""


@dataclass(frozen=True)
class Chunk:
    """One chunk: where it lies in the xorb, header included, and in the file. Ends are exclusive; in bytes."""

    xorb_start: int
    xorb_end: int
    file_start: int
    file_end: int


@dataclass(frozen=True)
class Stored:
    """A file as Xet storage holds it: its own hash, and one xorb with all its chunks in order."""

    hash: str
    size: int
    xorb_hash: str
    xorb: bytes
    chunks: tuple[Chunk, ...]
    folder: Path

    @property
    def local_cas(self) -> str:
        """The address under which hf_xet reads the folder itself, without a server."""
        return f"local://{self.folder}"

    def reconstruction(
        self, version: int, first: int, last: int, transfer: str, signed: Callable[[str], str]
    ) -> dict[str, object]:
        """How to put bytes `first` to `last` (inclusive) of the file together, as the CAS says it in its version.

        `signed` gives the query with which an address of the transfer host is good for a range.
        """
        wanted = [number for number, chunk in enumerate(self.chunks) if chunk.file_end > first]
        wanted = [number for number in wanted if self.chunks[number].file_start <= last]
        start, end = self.chunks[wanted[0]], self.chunks[wanted[-1]]
        chunks = {"start": wanted[0], "end": wanted[-1] + 1}
        within = {"start": start.xorb_start, "end": end.xorb_end - 1}
        part = f"bytes={start.xorb_start}-{end.xorb_end - 1}"
        url = f"{transfer}/xorbs/default/{self.xorb_hash}?{signed(part)}"
        said: dict[str, object] = {
            "offset_into_first_range": first - start.file_start,
            "terms": [
                {"hash": self.xorb_hash, "unpacked_length": end.file_end - start.file_start, "range": chunks},
            ],
        }
        if version == 1:
            said["fetch_info"] = {self.xorb_hash: [{"range": chunks, "url": url, "url_range": within}]}
        else:
            said["xorbs"] = {self.xorb_hash: [{"url": url, "ranges": [{"chunks": chunks, "bytes": within}]}]}
        return said


SHARED = "LOOPBACK_XET_STORE"
"""Variable that names a folder where processes keep what they store for one another."""
_LOCK = threading.Lock()


def store(data: bytes) -> Stored:
    """Upload by the real hf_xet, in a process of its own, into a folder that lasts as long as this one."""
    with _LOCK:
        return _store(data)


@lru_cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="xet-store-")


@lru_cache
def _store(data: bytes) -> Stored:
    within = Path(os.environ.get(SHARED) or _kept().name)
    folder = within / hashlib.sha256(data).hexdigest()
    if not (folder / "hash").exists():
        _upload(data, folder)
    xorbs = [path for path in (folder / "cas").rglob("default.*") if path.suffix != ".tagset"]
    if len(xorbs) != 1:
        raise ValueError(f"{len(data)} bytes became {len(xorbs)} xorbs; give less than 60 MB that do not repeat")
    xorb, xet_hash = xorbs[0].read_bytes(), (folder / "hash").read_text(encoding="ascii")
    chunks = _chunks(xorb, len(data))
    return Stored(xet_hash, len(data), xorbs[0].name.split(".")[1], xorb, chunks, folder / "cas")


def _upload(data: bytes, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(data)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    program = [sys.executable, "-P", "-c", UPLOAD, str(folder / "file"), str(folder / "cas")]
    env |= {"HF_HOME": str(folder / "home"), "HF_XET_LOG_DEST": ""}
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=True, timeout=60)
    (folder / "hash").write_text(done.stdout, encoding="ascii")


def _chunks(xorb: bytes, size: int) -> tuple[Chunk, ...]:
    """The chunks of a xorb, found by walking from header to header."""
    lengths = []
    place = 0
    while sum(inside for _, inside in lengths) < size:
        stored = int.from_bytes(xorb[place + 1 : place + 4], "little")
        inside = int.from_bytes(xorb[place + 5 : place + 8], "little")
        if xorb[place] != 0 or not inside:
            raise ValueError(f"the xorb holds no chunk at byte {place}: give bytes that do not repeat")
        lengths.append((CHUNK_HEADER + stored, inside))
        place += CHUNK_HEADER + stored
    ends = zip(accumulate(a for a, _ in lengths), accumulate(b for _, b in lengths), strict=True)
    return tuple(
        Chunk(xorb_end - held, xorb_end, file_end - inside, file_end)
        for (xorb_end, file_end), (held, inside) in zip(ends, lengths, strict=True)
    )
