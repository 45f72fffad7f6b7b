"""Tensor file: tensors written and read by safetensors, the layout of the file, and the memory that a slice takes.

The file is also read without safetensors, by the format's description: 8 bytes of header length, a JSON header, data.
"""

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dgxcert.judgement.limit import Limit
from dgxcert.probes.stack import intruder
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

MIB = 2**20
LARGE = 1024 * MIB
"""Bytes of a tensor of which only a slice is read; the file is sparse and takes no disk space."""
KEPT = "format=pt, made by=dgxcert"
PIECE = Limit(
    name="memory for a piece",
    max=64,
    unit="MiB",
    source=f"0.004 measured; reading the whole tensor takes {LARGE // MIB}",
)
METADATA = {"format": "pt", "made by": "dgxcert"}


@dataclass(frozen=True)
class TensorFile:
    """A file that was written, read back and compared."""

    changed: str
    """Names of tensors of which the type, shape or a byte differs; `none` where all are equal."""
    layout: str
    """What `layout` returns."""
    metadata: str
    piece_mib: float
    """Memory that reading one element of a large tensor took."""


def tensors() -> "dict[str, torch.Tensor]":
    """Seeded tensors of each type that models have, with values that a conversion could change: -0, NaN, infinity.

    >>> sorted(tensors())
    ['bfloat16', 'bool', 'float16', 'float32', 'int64', 'int8', 'odd bfloat16', 'odd float16', 'odd float32']
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(3)
    odd = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-40, 65504.0])
    dtypes = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    return {
        **{name: torch.randn(17, 33, generator=generator).to(dtype) for name, dtype in dtypes.items()},
        **{f"odd {name}": odd.to(dtype) for name, dtype in dtypes.items()},
        "int8": torch.arange(-128, 127, dtype=torch.int8),
        "int64": torch.tensor([2**62, -1]),
        "bool": torch.tensor([True, False, True]),
    }


@intruder.named()
def run() -> TensorFile:
    """Write a file, read it with and without safetensors, and read a slice of a large tensor."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    written = tensors()
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as folder:
        path = Path(folder, "tensors.safetensors")
        save_file(written, path, metadata=METADATA)
        loaded = load_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        names = written.keys() | loaded.keys()
        changed = {name for name in names if not _same_bytes(loaded.get(name), written.get(name))}
        return TensorFile(
            changed=", ".join(sorted(changed)) or "none",
            layout=layout(path.read_bytes(), written),
            metadata=", ".join(f"{key}={value}" for key, value in sorted(metadata.items())),
            piece_mib=_slice_mib(Path(folder, "large.safetensors")),
        )


def _same_bytes(loaded: "torch.Tensor | None", written: "torch.Tensor | None") -> bool:
    """Whether both are present and equal bit for bit, which `==` is not for NaN and -0."""
    if loaded is None or written is None or (loaded.dtype, loaded.shape) != (written.dtype, written.shape):
        return False
    return numerics.fingerprint(loaded) == numerics.fingerprint(written)


def layout(content: bytes, written: "dict[str, torch.Tensor]") -> str:
    """The first fault of a file's layout, or `as promised` where the data is aligned and holds the tensors alone."""
    import torch

    length = int.from_bytes(content[:8], "little")
    if length % 8:
        return f"the header takes {length} bytes, which leaves the tensors unaligned"
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    for name, tensor in written.items():
        begin, end = header[name]["data_offsets"]
        if data[begin:end] != tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes():
            return f"the bytes of {name} are not the tensor's"
    if sum(tensor.numel() * tensor.element_size() for tensor in written.values()) != len(data):
        return f"{len(data)} bytes of data are more than the tensors"
    return "as promised"


def _slice_mib(path: Path) -> float:
    """MiB by which this process grows when it reads the last element of a large tensor."""
    from safetensors import safe_open

    header = json.dumps({"large": {"dtype": "F32", "shape": [LARGE // 4], "data_offsets": [0, LARGE]}}).encode()
    header += b" " * (-len(header) % 8)  # the format aligns the data to 8 bytes
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + LARGE)
    before = _resident_mib()
    with safe_open(path, framework="pt") as reader:
        piece = reader.get_slice("large")[-1:]
        return max(_resident_mib() - before, 0.0) if piece.numel() == 1 else LARGE / MIB


def _resident_mib() -> float:
    """Resident memory of this process in MiB."""
    status = Path(f"/proc/{os.getpid()}/status").read_text(encoding="ascii")
    kib = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(kib.group(1)) / 1024 if kib else float("nan")
