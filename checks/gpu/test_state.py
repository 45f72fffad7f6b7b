"""GPU state: the right model, whole, undivided, open to every program, and without errors in its memory."""

from dgxcert import requirement
from dgxcert.probes.gpu import health, nvml


@requirement(
    "GPU-MODEL",
    why="Another model than the one that was bought runs other code at another speed, and its limits are not these.",
    remedy=(
        "Run `nvidia-smi -L` and compare with the order.",
        "If the machine is of another type, name its profile: dgxcert validate --profile NAME",
        "If the driver names it wrongly, update the driver, then restart: sudo reboot",
    ),
)
def test_the_gpu_is_the_model_that_the_profile_expects(gpu, profile, evidence):
    found = evidence.record("model", nvml.gpu(gpu.index).product, source="NVML")
    assert found == profile.limit("gpu.product")


@requirement(
    "GPU-PERSISTENCE",
    why="Without persistence the driver is unloaded between programs: each start waits, and counters begin anew.",
    remedy=(
        "Look at it: nvidia-smi --query-gpu=persistence_mode --format=csv",
        "Switch it on for good: sudo systemctl enable --now nvidia-persistenced",
        "Until the next start: sudo nvidia-smi -pm 1",
    ),
)
def test_the_driver_stays_loaded(gpu, profile, evidence):
    found = evidence.record("persistence", health.persistence(gpu.index), source="NVML")
    assert found == profile.limit("gpu.persistence")


@requirement(
    "GPU-COMPUTE-MODE",
    why="An exclusive or prohibited GPU refuses the second process: a notebook beside a training, or every program.",
    remedy=(
        "Look at it: nvidia-smi --query-gpu=compute_mode --format=csv",
        "Open it again: sudo nvidia-smi -c DEFAULT",
    ),
)
def test_several_programs_may_use_the_gpu(gpu, profile, evidence):
    found = evidence.record("compute mode", health.compute_mode(gpu.index), source="NVML")
    assert found == profile.limit("gpu.compute_mode")


@requirement(
    "GPU-MIG",
    why="A divided GPU gives each program a part of its memory and speed, and models that fit it no longer do.",
    remedy=(
        "Look at it: nvidia-smi mig -lgi",
        "Ask who divided it; then, with nobody on it: sudo nvidia-smi -mig 0 && sudo nvidia-smi --gpu-reset",
    ),
)
def test_the_gpu_is_not_divided(gpu, profile, evidence):
    found = evidence.record("divided into instances (MIG)", health.mig_enabled(gpu.index), source="NVML")
    assert found == profile.limit("gpu.mig")


@requirement(
    "GPU-ECC-MODE",
    why="Without error correction a flipped bit in a weight or a gradient goes unseen, and the model is quietly wrong.",
    remedy=(
        "Look at it: nvidia-smi --query-gpu=ecc.mode.current,ecc.mode.pending --format=csv",
        "Switch it on; it begins with the next start: sudo nvidia-smi -e 1 && sudo reboot",
    ),
)
def test_error_correction_is_on(gpu, profile, evidence):
    found = evidence.record("error correction is on and stays on", health.ecc_enabled(gpu.index), source="NVML")
    assert found == profile.limit("gpu.ecc")


@requirement(
    "GPU-ECC",
    why="An uncorrected memory error ends the program that meets it; many of them end a training every night.",
    remedy=(
        "Look which memory: nvidia-smi -q -d ECC; and when: sudo dmesg | grep -i xid",
        "With nobody on the GPU, reset it, so that bad rows are replaced: sudo nvidia-smi --gpu-reset",
        "Run this again. New errors after the reset: open a hardware case with this run folder.",
    ),
)
def test_memory_has_had_no_uncorrected_error(gpu, profile, evidence):
    found = health.ecc_errors(gpu.index)
    evidence.record("this GPU counts errors", found.counted, source=found.source)
    evidence.record("corrected errors", found.corrected, unit="error", source=found.source)
    evidence.record("uncorrected errors ever", found.uncorrected_ever, unit="error", source=found.source)
    uncorrected = evidence.record("uncorrected errors", found.uncorrected, unit="error", source=found.source)
    assert uncorrected.within(profile.limit("ecc.uncorrected"))


@requirement(
    "GPU-ROW-REMAP",
    why="A bad memory row that waits to be replaced is still in use: what is trained on it may be wrong or end.",
    remedy=(
        "Look at it: nvidia-smi -q -d ROW_REMAPPER",
        "Pending: with nobody on the GPU, reset it: sudo nvidia-smi --gpu-reset; or restart: sudo reboot",
        "Failed: no spare row is left; take the machine out of service and open a hardware case.",
    ),
)
def test_no_memory_row_waits_to_be_replaced(gpu, evidence):
    found = health.remapped_rows(gpu.index)
    evidence.record("rows replaced after corrected errors", found.corrected, unit="row", source=found.source)
    evidence.record("rows replaced after uncorrected errors", found.uncorrected, unit="row", source=found.source)
    pending = evidence.record("rows waiting to be replaced", int(found.pending), unit="row", source=found.source)
    failed = evidence.record("rows that could not be replaced", int(found.failed), unit="row", source=found.source)
    assert pending == 0
    assert failed == 0
