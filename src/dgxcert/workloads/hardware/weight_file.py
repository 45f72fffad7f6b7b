"""Weight file: how fast a safetensors file that nobody has read comes from disk to the device, mapped or read.

transformers maps files; on some kernels mapped pages come slowly to a GPU that shares the system's memory. Each round
reads a cold file: its pages are dropped before, and it is proven that none was left.
"""

import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dgxcert.container import hub_home
from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.rounds import Work
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.host import page_cache
from dgxcert.profiles.profile import Profile
from dgxcert.workloads import allocation, numerics
from dgxcert.workloads.hardware.bandwidth import MIB, SEED
from dgxcert.workloads.round_timer import AddRound, repeat

if TYPE_CHECKING:
    import torch

TENSORS = 8
COLD = 0.01
"""Share of a file's pages that may lie in memory before it is read."""
FROM_DISK = Limit(
    name="read from disk",
    min=0.9,
    unit="of the file",
    source="the kernel counts whole pages that it fetched for us; what was read ahead for another process is missing",
)


class WeightFile:
    """A file of several tensors; one round reads it whole and has it on the device."""

    def __init__(self, device: Device, profile: Profile, way: str) -> None:
        size_bytes = profile.workloads.load.size_mib * MIB
        allocation.require(device, 3 * size_bytes, f"a file of {size_bytes / MIB:.0f} MiB in memory and on the device")
        self.device, self._way, self._size = device, way, size_bytes
        self._loaded: dict[str, torch.Tensor] = {}
        self._fetched: int | None = None
        self.place = place(size_bytes)
        # Without a name, so that it outlives no process, however that ends.
        self._file = tempfile.TemporaryFile(dir=self.place)  # noqa: SIM115 (`rounds` closes it)
        self._path = Path(f"/proc/self/fd/{self._file.fileno()}")
        self._write()
        self.work = Work(device, self._path.stat().st_size / 1e9, profile.peak("storage"))

    def _write(self) -> None:
        from safetensors.torch import save

        self._file.write(save({str(index): self._tensor(index) for index in range(TENSORS)}))
        self._file.flush()

    def _tensor(self, index: int) -> "torch.Tensor":
        """The tensor that the file holds under this number, seeded."""
        import torch

        generator = torch.Generator("cpu").manual_seed(SEED + index)
        count = self._size // TENSORS // 4
        return torch.randint(-(2**31), 2**31 - 1, (count,), generator=generator, dtype=torch.int32)

    def run_rounds(self, add_round: AddRound) -> None:
        """One load from a cold page cache after another; removes the file afterwards."""
        with self._file:
            repeat(self.run, add_round, before=self._forget)

    def _forget(self) -> None:
        """Drop the file from memory; raises Inconclusive where it stays there, as on a disk that is memory itself."""
        self._loaded = {}
        gc.collect()  # a mapped page cannot be dropped
        page_cache.drop(self._path)
        kept = page_cache.resident(self._path)
        if kept > COLD:
            raise Inconclusive(
                f"{kept:.0%} of a file in {self.place} stayed in memory although it was to be dropped: "
                "what is read from there says nothing about a disk",
                "Look at what that folder lies on: findmnt -T <folder>. Set HF_HOME to a folder on a real disk.",
            )
        self._fetched = page_cache.read_bytes()

    def run(self) -> None:
        """One round; returns when the device has all of it."""
        self._loaded = self._map() if self._way == "mmap" else self._read()
        self.device.wait()
        before, now = self._fetched, page_cache.read_bytes()
        self._fetched = now - before if now is not None and before is not None else None

    def _map(self) -> "dict[str, torch.Tensor]":
        from safetensors import safe_open

        with safe_open(self._path, framework="pt") as file:
            mapped = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
            if self.device.kind == "cpu":
                return {name: each.clone() for name, each in mapped.items()}  # a mapped page is read when it is touched
            return {name: each.to(self.device.name) for name, each in mapped.items()}

    def _read(self) -> "dict[str, torch.Tensor]":
        from safetensors.torch import load

        return {name: each.to(self.device.name) for name, each in load(self._path.read_bytes()).items()}

    def verify(self, evidence: Recorder) -> None:
        """Hold every word that arrived against what was written, and that it came from the disk; raises Wrong."""
        if self._fetched is not None:
            share = self._fetched / self._size
            source = "read_bytes of /proc/self/io, the last timed round"
            fetched = evidence.record("read from disk", share, unit="of the file", source=source)
            if FROM_DISK.min is not None and share < FROM_DISK.min:
                raise Inconclusive(
                    f"only {share:.0%} of the file came from a disk, at least {FROM_DISK.min:.0%} wanted: {fetched!r}",
                    "Run it again; where it is always so, the folder lies on something that is no disk.",
                )
        wrong = sum(
            int(numerics.differing(self._loaded[str(index)].cpu(), self._tensor(index))) for index in range(TENSORS)
        )
        found = evidence.record("words that differ", wrong, source="every word of the last timed round, compared")
        evidence.require(found == 0)


def place(size_bytes: int) -> Path:
    """Where the file goes: as near to the Hub client's home as this user may write, since models are loaded from there.

    Raises Inconclusive where there is no room for it.
    """
    home = hub_home.home().absolute()
    near = next((each for each in (home, *home.parents) if os.access(each, os.W_OK)), Path(tempfile.gettempdir()))
    free = shutil.disk_usage(near).free
    if free < 2 * size_bytes:
        raise Inconclusive(
            f"{near} has {free / MIB:.0f} MiB free, {2 * size_bytes / MIB:.0f} wanted",
            "Make room there, or set HF_HOME to a folder on another disk.",
        )
    return near


def prepare(device: Device, profile: Profile, way: str) -> WeightFile:
    """The file that a profile asks for, to be loaded by `mmap` or by `read`."""
    return WeightFile(device, profile, way)
