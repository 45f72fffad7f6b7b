"""The same bits: GPUs of one kind compute the same bits from the same numbers."""

from dgxcert import requirement
from dgxcert.workloads.correctness.same_bits import answers, ranks


@requirement(
    "SAME-BITS",
    title="All GPUs of a kind compute the same bits",
    why="One GPU of eight that computes wrong numbers without an error spoils every gradient of a data-parallel "
    "training: all_reduce spreads them to all, and no check of a single GPU against a tolerance sees a flipped bit.",
    remedy=(
        "Run it again: `make validate ONLY=SAME-BITS`. A result that changes points at memory, one that stays wrong at "
        "the chip.",
        "Read what the driver recorded: nvidia-smi -q -d ECC,ROW_REMAPPER; sudo dmesg | grep -i xid",
        "Take the GPU that is named out of service and open a hardware case with this run folder if it returns.",
    ),
    tier="standard",
    takes_s=30,
    budget_s=300,
)
def test_all_gpus_of_a_kind_compute_the_same_bits(devices, evidence):
    found = ranks.run(devices)
    evidence.advise(*found.remedy)
    evidence.record("devices compared with their like", found.compared, unit="device", source=found.source)
    source = "; ".join(answers.shown(found.unrepeated)) or "each result computed twice by the same device"
    unrepeated = evidence.record("results that a device did not repeat", len(found.unrepeated), source=source)
    source = "; ".join(answers.shown(found.differences)) or found.source
    differing = evidence.record("results that differ within a kind", len(found.differences), source=source)
    assert unrepeated == 0
    assert differing == 0
    found.require_compared()
