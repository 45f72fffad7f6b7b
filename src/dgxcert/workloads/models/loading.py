"""Loading: how much memory a checkpoint takes while `from_pretrained` loads it, in a process of its own.

transformers maps a safetensors file and moves one tensor after another to the device. Where a library reads the whole
file first, copies it, or widens 16 bits to 32, a model takes twice its size, and does not fit where it should.
"""

import ctypes
import gc
import json
import os
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads import allocation, fresh_process

STATUS = Path("/proc/self/status")
ASKED = "DGXCERT_LOADING"
HIDDEN, INTERMEDIATE, VOCABULARY, HEADS = 1024, 4096, 8192, 8
BYTES_IN_16_BITS = 2
POLL_S = 0.002
LEAST = 0.9
"""Share of the weights below which they were not loaded at all."""


@dataclass(frozen=True)
class Loading:
    """Bytes of the weights, and by how much memory grew at most while they were loaded, on host and device together."""

    weights_bytes: int
    peak_bytes: int
    mapped_bytes: int
    """Of the file, mapped by the process at the end: page cache, which the kernel reclaims when memory is needed."""
    device: str

    @property
    def share(self) -> float:
        """The peak in sizes of the weights.

        >>> Loading(weights_bytes=100, peak_bytes=104, mapped_bytes=100, device="cuda:0").share
        1.04
        """
        return self.peak_bytes / self.weights_bytes

    @property
    def source(self) -> str:
        """How it was measured."""
        counted = "VmRSS" if self.device == "cpu" else "RssAnon and torch.cuda.memory_allocated()"
        return f"growth of {counted} while from_pretrained loads {self.weights_bytes / 1e6:.0f} MB to {self.device}"


def measure(device: Device, layers: int) -> Loading:
    """Save a model of this many layers in bf16, and load it as users do.

    Raises Wrong where that fails, Inconclusive where it does not fit or where no growth was seen.
    """
    per_layer = 4 * HIDDEN**2 + 3 * HIDDEN * INTERMEDIATE
    size_bytes = BYTES_IN_16_BITS * (layers * per_layer + 2 * VOCABULARY * HIDDEN)
    allocation.require(device, 4 * size_bytes, f"a checkpoint of {size_bytes / 1e6:.0f} MB")
    answer = fresh_process.run("models.loading", {ASKED: json.dumps({"device": device.name, "layers": layers})})
    loading = Loading(**answer)
    if loading.share < LEAST:
        raise Inconclusive(
            f"memory grew by {loading.share:.0%} of the weights while they were loaded, which is less than they take",
            "Run it again: make validate ONLY=LOAD-MEMORY",
        )
    return loading


class Peak:
    """The highest memory of this process and its device between entering and leaving, above that at the start."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._start = self._now()
        self._highest = self._start
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._see()

    @property
    def bytes(self) -> int:
        """The growth."""
        return self._highest - self._start

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            self._see()

    def _see(self) -> None:
        self._highest = max(self._highest, self._now())

    def _now(self) -> int:
        status = STATUS.read_text(encoding="ascii")
        if self._device == "cpu":  # a mapped weight is used where it is mapped
            return resident(status, "VmRSS")
        import torch

        return resident(status, "RssAnon") + int(torch.cuda.memory_allocated(self._device))


def resident(status: str, field: str) -> int:
    r"""Bytes of a field of /proc/self/status.

    >>> resident("VmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n", "RssAnon")
    1048576
    """
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def load(folder: Path, device: str) -> Any:
    """The model of a folder on a device, loaded as the course does, with every weight read once."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device)
    for parameter in model.parameters():
        float(parameter.detach().flatten()[::1024].float().sum())  # one value of each page, so that all of it is there
    return model


def save(folder: Path, layers: int, hidden: int = HIDDEN) -> int:
    """Save a Llama with seeded weights in bf16; returns the bytes of its weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        vocab_size=VOCABULARY,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    return sum(parameter.nbytes for parameter in model.parameters())


def give_back() -> None:
    """Return freed memory to the kernel: what malloc keeps would be used again, and a copy in it be no growth."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others return large blocks by themselves
    if trim is not None:
        trim(0)


def main(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Load a small checkpoint first, which imports libraries and starts the device, then the one that counts."""
    weights = save(folder / "weights", int(asked["layers"]))
    save(folder / "small", layers=1, hidden=64)
    load(folder / "small", str(asked["device"]))
    give_back()
    with Peak(str(asked["device"])) as peak:
        model = load(folder / "weights", str(asked["device"]))
    mapped = resident(STATUS.read_text(encoding="ascii"), "RssFile")
    found = Loading(weights, peak.bytes, mapped, str(next(model.parameters()).device))
    return vars(found)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), json.loads(os.environ[ASKED]))) + "\n")
