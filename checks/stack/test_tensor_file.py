"""Tensor file: safetensors gives back every byte, and reads no more than it is asked for."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import tensor_file


@requirement(
    "SAFETENSORS-BYTES",
    why="Models come from the Hub, and checkpoints go to disk, as safetensors: a changed byte is a changed model.",
    remedy=(
        "Look for room where it works: df -h /tmp",
        "Install the stack as it is pinned: make clean setup; or use the container: make validate",
        "Other bytes each time: see MEMORY-PATTERN, and `sudo dmesg | grep -iE 'i/o error|nvme'`.",
    ),
    takes_s=1,
)
def test_tensors_come_back_byte_for_byte(evidence):
    evidence.advise("Look: df -h /tmp", *lockfile.advice("safetensors"))
    found = tensor_file.run()
    how = "safetensors, fp32, fp16, bf16 and whole numbers, with -0, NaN and infinity"
    changed = evidence.record("changed tensors", found.changed, source=how)
    layout = evidence.record("layout of the file", found.layout, source="read without safetensors")
    metadata = evidence.record("metadata", found.metadata, source="safetensors.safe_open")
    piece = evidence.record("memory for a piece", found.piece_mib, unit="MiB", source="one number of a 1 GiB tensor")
    assert changed == "none"
    assert layout == "as promised"
    assert metadata == tensor_file.KEPT
    assert piece.within(tensor_file.PIECE)
