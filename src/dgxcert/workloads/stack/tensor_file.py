"""Tensor file: safetensors keeps tensors byte for byte, in the layout that it promises, and reads no more than asked.

The file is also read here without safetensors, by the format's description: 8 bytes of length, a JSON header, bytes.
"""

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dgxcert.judgement.limit import Limit
from dgxcert.workloads import numerics

if TYPE_CHECKING:
    import torch

MIB = 2**20
LARGE = 1024 * MIB
"""Bytes of a tensor of which only a piece is read; the file is sparse and takes no room."""
KEPT = "format=pt, made by=dgxcert"
PIECE = Limit(
    name="memory for a piece",
    max=64,
    unit="MiB",
    source=f"0.004 measured; a reader that takes in the whole tensor takes {LARGE // MIB}",
)
METADATA = {"format": "pt", "made by": "dgxcert"}


@dataclass(frozen=True)
class TensorFile:
    """Tensors that came back otherwise, by name; what the file itself says; what reading a piece took."""

    changed: str
    layout: str
    metadata: str
    piece_mib: float
    """Memory that reading one element of a large tensor took."""


def tensors() -> "dict[str, torch.Tensor]":
    """Seeded tensors of each type that models come in, with values that a careless copy changes: -0, NaN, infinity."""
    import torch

    generator = torch.Generator("cpu").manual_seed(3)
    odd = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-40, 65504.0])
    types = (torch.float32, torch.float16, torch.bfloat16)
    made = {str(each).removeprefix("torch."): torch.randn(17, 33, generator=generator).to(each) for each in types}
    made |= {f"odd {each}".replace("torch.", ""): odd.to(each) for each in types}
    made["int8"] = torch.arange(-128, 127, dtype=torch.int8)
    made["int64"] = torch.tensor([2**62, -1])
    made["bool"] = torch.tensor([True, False, True])
    return made


def run() -> TensorFile:
    """Write, read back with and without safetensors, and read a piece of a large tensor."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    wanted = tensors()
    hashes = {name: numerics.fingerprint(each) for name, each in wanted.items()}
    with tempfile.TemporaryDirectory(prefix="dgxcert-") as folder:
        path = Path(folder, "tensors.safetensors")
        save_file(wanted, path, metadata=METADATA)
        found = load_file(path)
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata()
        changed = {
            name for name in hashes.keys() | found.keys() if name not in found or _other(found[name], wanted.get(name))
        }
        return TensorFile(
            changed=", ".join(sorted(changed)) or "none",
            layout=layout(path.read_bytes(), wanted),
            metadata=", ".join(f"{key}={value}" for key, value in sorted(metadata.items())),
            piece_mib=_piece(Path(folder, "large.safetensors")),
        )


def _other(found: "torch.Tensor", wanted: "torch.Tensor | None") -> bool:
    if wanted is None or (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
        return True
    return numerics.fingerprint(found) != numerics.fingerprint(wanted)


def layout(content: bytes, wanted: "dict[str, torch.Tensor]") -> str:
    """What is wrong with a file's layout; `as promised` when the header is aligned and all bytes are the tensors'."""
    import torch

    length = int.from_bytes(content[:8], "little")
    if length % 8:
        return f"the header takes {length} bytes, which leaves the tensors unaligned"
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    for name, tensor in wanted.items():
        begin, end = header[name]["data_offsets"]
        if data[begin:end] != tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes():
            return f"the bytes of {name} are not the tensor's"
    if sum(each.numel() * each.element_size() for each in wanted.values()) != len(data):
        return f"{len(data)} bytes of data are more than the tensors"
    return "as promised"


def _piece(path: Path) -> float:
    """MiB of memory that this process takes more after it read the last element of a large tensor."""
    from safetensors import safe_open

    header = json.dumps({"large": {"dtype": "F32", "shape": [LARGE // 4], "data_offsets": [0, LARGE]}}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + LARGE)
    before = _resident_mib()
    with safe_open(path, framework="pt") as opened:
        piece = opened.get_slice("large")[-1:]
        return max(_resident_mib() - before, 0.0) if piece.numel() == 1 else LARGE / MIB


def _resident_mib() -> float:
    found = re.search(
        r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{os.getpid()}/status").read_text(encoding="ascii"), re.MULTILINE
    )
    return int(found.group(1)) / 1024 if found else float("nan")
