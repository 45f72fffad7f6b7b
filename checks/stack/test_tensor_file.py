"""Tensor file: safetensors writes and reads every byte unchanged, and a slice without loading the whole file."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import tensor_file


@requirement(
    "SAFETENSORS-BYTES",
    title="safetensors preserves every byte",
    why="Models from the Hub and checkpoints on disk are safetensors files: a changed byte is a changed model.",
    remedy=(
        "Look at free space: df -h /tmp",
        *lockfile.RESTORE,
        "If other bytes change each time, run MEMORY-PATTERN and `sudo dmesg | grep -iE 'i/o error|nvme'`.",
    ),
)
def test_tensors_are_preserved_byte_for_byte(evidence):
    evidence.advise("Look at free space: df -h /tmp", *lockfile.advice())
    file = tensor_file.run()
    source = "safetensors, fp32, fp16, bf16 and integers, with -0, NaN and infinity"
    changed = evidence.record("changed tensors", file.changed, source=source)
    layout = evidence.record("layout of the file", file.layout, source="read without safetensors")
    metadata = evidence.record("metadata", file.metadata, source="safetensors.safe_open")
    piece = evidence.record("memory for a slice", file.piece_mib, unit="MiB", source="one number of a 1 GiB tensor")
    assert changed == "none"
    assert layout == "as promised"
    assert metadata == tensor_file.KEPT
    assert piece.within(tensor_file.PIECE)
