"""A file in Xet storage, cut into chunks by the real hf_xet, and its reconstruction as a CAS describes it."""

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
"""Bytes before each chunk: version (1), compressed length (3), compression (1), uncompressed length (3)."""


@dataclass(frozen=True)
class Chunk:
    """One chunk: its offset in the xorb, header included, and in the file, in bytes; ends are exclusive."""

    xorb_start: int
    xorb_end: int
    file_start: int
    file_end: int


@dataclass(frozen=True)
class Stored:
    """A file in Xet storage: its Xet hash, and one xorb with all its chunks in order."""

    hash: str
    size: int
    xorb_hash: str
    xorb: bytes
    chunks: tuple[Chunk, ...]
    folder: Path

    @property
    def local_cas(self) -> str:
        """The CAS URL with which hf_xet reads the folder itself, without a server."""
        return f"local://{self.folder}"

    def reconstruction(
        self, version: int, first: int, last: int, transfer: str, signed: Callable[[str], str]
    ) -> dict[str, object]:
        """The reconstruction of bytes `first` to `last` (inclusive) of the file, in this version of the protocol.

        `signed` gives the query that signs a URL of the transfer host for a range.
        """
        needed = [number for number, chunk in enumerate(self.chunks) if chunk.file_end > first]
        needed = [number for number in needed if self.chunks[number].file_start <= last]
        start, end = self.chunks[needed[0]], self.chunks[needed[-1]]
        chunks = {"start": needed[0], "end": needed[-1] + 1}
        byte_range = {"start": start.xorb_start, "end": end.xorb_end - 1}
        part = f"bytes={start.xorb_start}-{end.xorb_end - 1}"
        url = f"{transfer}/xorbs/default/{self.xorb_hash}?{signed(part)}"
        body: dict[str, object] = {
            "offset_into_first_range": first - start.file_start,
            "terms": [
                {"hash": self.xorb_hash, "unpacked_length": end.file_end - start.file_start, "range": chunks},
            ],
        }
        if version == 1:
            body["fetch_info"] = {self.xorb_hash: [{"range": chunks, "url": url, "url_range": byte_range}]}
        else:
            body["xorbs"] = {self.xorb_hash: [{"url": url, "ranges": [{"chunks": chunks, "bytes": byte_range}]}]}
        return body


SHARED = "LOOPBACK_XET_STORE"
"""Variable that names a folder in which processes share stored files."""
_LOCK = threading.Lock()


def store(data: bytes) -> Stored:
    """Upload with the real hf_xet, in a process of its own, into a folder that lasts as long as this process."""
    with _LOCK:
        return _store(data)


@lru_cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="xet-store-")


@lru_cache
def _store(data: bytes) -> Stored:
    root = Path(os.environ.get(SHARED) or _folder().name)
    folder = root / hashlib.sha256(data).hexdigest()
    if not (folder / "hash").exists():
        _upload(data, folder)
    xorbs = [path for path in (folder / "cas").rglob("default.*") if path.suffix != ".tagset"]
    if len(xorbs) != 1:
        raise ValueError(
            f"{len(data)} bytes became {len(xorbs)} xorbs; use less than 60 MB of bytes that do not repeat"
        )
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
    """The chunks of a xorb, read from header to header."""
    lengths = []
    offset = 0
    while sum(uncompressed for _, uncompressed in lengths) < size:
        compressed = int.from_bytes(xorb[offset + 1 : offset + 4], "little")
        uncompressed = int.from_bytes(xorb[offset + 5 : offset + 8], "little")
        if xorb[offset] != 0 or not uncompressed:
            raise ValueError(f"the xorb holds no chunk at byte {offset}: use bytes that do not repeat")
        lengths.append((CHUNK_HEADER + compressed, uncompressed))
        offset += CHUNK_HEADER + compressed
    ends = zip(accumulate(a for a, _ in lengths), accumulate(b for _, b in lengths), strict=True)
    return tuple(
        Chunk(xorb_end - stored, xorb_end, file_end - uncompressed, file_end)
        for (xorb_end, file_end), (stored, uncompressed) in zip(ends, lengths, strict=True)
    )
