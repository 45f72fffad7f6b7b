"""Weight file: how fast a safetensors file is loaded from disk to the device, memory-mapped or read.

transformers maps files; on some kernels mapped pages reach a GPU that shares the system's memory slowly. Each round
loads a cold file: its pages are dropped from the page cache before, which is checked.
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
from dgxcert.judgement.spending import LEDGER, Spent
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
"""Largest share of a file's pages that may be in the page cache before a round."""
FROM_DISK = Limit(
    name="read from disk",
    min=0.9,
    unit="of the file",
    source="the kernel counts the pages that it read for this process, without those read ahead for another",
)


class WeightFile:
    """A safetensors file of several tensors; one round loads all of it to the device."""

    def __init__(self, device: Device, profile: Profile, way: str) -> None:
        size_bytes = profile.workloads.load.size_mib * MIB
        allocation.require(device, 3 * size_bytes, f"a file of {size_bytes / MIB:.0f} MiB in memory and on the device")
        self.device, self._way, self._size = device, way, size_bytes
        self._loaded: dict[str, torch.Tensor] = {}
        self._fetched: int | None = None
        self.place = place(size_bytes)
        # Without a name, so that the kernel removes it however this process ends.
        self._file = tempfile.TemporaryFile(dir=self.place)  # noqa: SIM115 (`run_rounds` closes it)
        self._path = Path(f"/proc/self/fd/{self._file.fileno()}")
        self._write()
        self.work = Work(device, self._path.stat().st_size / 1e9, profile.peak("storage"))

    def _write(self) -> None:
        from safetensors.torch import save

        self._file.write(save({str(index): self._tensor(index) for index in range(TENSORS)}))
        self._file.flush()

    def _tensor(self, index: int) -> "torch.Tensor":
        """The tensor of this number in the file: seeded 32-bit words."""
        import torch

        generator = torch.Generator("cpu").manual_seed(SEED + index)
        count = self._size // TENSORS // 4
        return torch.randint(-(2**31), 2**31 - 1, (count,), generator=generator, dtype=torch.int32)

    def run_rounds(self, add_round: AddRound) -> None:
        """One load from a cold page cache after another; removes the file afterwards."""
        with self._file:
            repeat(self.run, add_round, before=self._drop_pages)

    def _drop_pages(self) -> None:
        """Drop the file from the page cache; raises Inconclusive where it stays there, as on a tmpfs."""
        self._loaded = {}
        gc.collect()  # a page that is still mapped cannot be dropped
        page_cache.drop(self._path)
        kept = page_cache.resident(self._path)
        if kept > COLD:
            raise Inconclusive(
                f"{kept:.0%} of a file in {self.place} stayed in the page cache after it was dropped: "
                "loading it does not measure a disk",
                "Find the file system of that folder: findmnt -T <folder>. Set HF_HOME to a folder on a disk.",
            )
        self._fetched = page_cache.read_bytes()

    def run(self) -> None:
        """One load of the file; returns when the device has all of it."""
        self._loaded = self._map() if self._way == "mmap" else self._read()
        self.device.wait()
        before, after = self._fetched, page_cache.read_bytes()
        self._fetched = after - before if after is not None and before is not None else None

    def _map(self) -> "dict[str, torch.Tensor]":
        from safetensors import safe_open

        with safe_open(self._path, framework="pt") as file:
            mapped = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
            if self.device.kind == "cpu":
                return {name: tensor.clone() for name, tensor in mapped.items()}  # a mapped page is read when touched
            return {name: tensor.to(self.device.name) for name, tensor in mapped.items()}

    def _read(self) -> "dict[str, torch.Tensor]":
        from safetensors.torch import load

        tensors = load(self._path.read_bytes())
        return {name: tensor.to(self.device.name) for name, tensor in tensors.items()}

    @LEDGER.on(Spent.VERIFYING)
    def verify(self, evidence: Recorder) -> None:
        """Compare every word of the last load with what was written; raises Wrong.

        Raises Inconclusive where the file was not read from a disk.
        """
        if self._fetched is not None:
            share = self._fetched / self._size
            source = "read_bytes of /proc/self/io, the last timed round"
            fetched = evidence.record("read from disk", share, unit="of the file", source=source)
            if FROM_DISK.min is not None and share < FROM_DISK.min:
                raise Inconclusive(
                    f"only {share:.0%} of the file came from a disk, required {FROM_DISK.min:.0%} or more: {fetched!r}",
                    "Run it again. If it happens each time, set HF_HOME to a folder on a disk.",
                )
        pairs = ((self._loaded[str(index)].cpu(), self._tensor(index)) for index in range(TENSORS))
        differing = sum(int(numerics.differing(loaded, written)) for loaded, written in pairs)
        source = "every word of the last timed round, compared"
        wrong = evidence.record("words that differ", differing, source=source)
        evidence.require(wrong == 0)


def place(size_bytes: int) -> Path:
    """The folder for the file: the Hub cache, from which models are loaded, or its nearest parent that is writable.

    Raises Inconclusive where the disk has too little free space.
    """
    home = hub_home.home().absolute()
    writable = (folder for folder in (home, *home.parents) if os.access(folder, os.W_OK))
    folder = next(writable, Path(tempfile.gettempdir()))
    free = shutil.disk_usage(folder).free
    if free < 2 * size_bytes:
        raise Inconclusive(
            f"{folder} has {free / MIB:.0f} MiB free, {2 * size_bytes / MIB:.0f} are needed",
            "Free space there, or set HF_HOME to a folder on another disk.",
        )
    return folder


@LEDGER.on(Spent.BUILDING)
def prepare(device: Device, profile: Profile, way: str) -> WeightFile:
    """The weight file of a profile, to be loaded by `mmap` or by `read`."""
    return WeightFile(device, profile, way)
