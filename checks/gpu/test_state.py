"""GPU state: the expected model, undivided, open to every program, with ECC on and without memory errors."""

from dgxcert import requirement
from dgxcert.probes.gpu import health, nvml


@requirement(
    "GPU-MODEL",
    title="The GPU is the model that the profile expects",
    why="Another model runs other kernels at another speed: the limits of this profile do not apply to its training.",
    remedy=(
        "Run `nvidia-smi -L` and compare the model with the order.",
        "Name the right profile if the machine is of another type: make validate PROFILE=NAME",
        "Update the driver if it names the GPU wrongly, then restart: sudo reboot",
    ),
)
def test_the_gpu_is_the_model_that_the_profile_expects(gpu, profile, evidence):
    model = evidence.record("model", nvml.gpu(gpu.index).product, source="NVML")
    assert model == profile.limit("gpu.product")


@requirement(
    "GPU-PERSISTENCE",
    title="Persistence mode is set as the profile expects",
    why="Without persistence the driver is unloaded between programs: each notebook waits, and error counters restart.",
    remedy=(
        "Check it: nvidia-smi --query-gpu=persistence_mode --format=csv",
        "Enable it permanently: sudo systemctl enable --now nvidia-persistenced",
        "Enable it until the next restart: sudo nvidia-smi -pm 1",
    ),
)
def test_the_driver_stays_loaded(gpu, profile, evidence):
    persistence = evidence.record("persistence", health.persistence(gpu.index), source="NVML")
    assert persistence == profile.limit("gpu.persistence")


@requirement(
    "GPU-COMPUTE-MODE",
    title="The compute mode lets several programs use the GPU",
    why="An exclusive GPU refuses a notebook beside a training, and a prohibited one refuses every program.",
    remedy=(
        "Check it: nvidia-smi --query-gpu=compute_mode --format=csv",
        "Set it to the default: sudo nvidia-smi -c DEFAULT",
    ),
)
def test_several_programs_may_use_the_gpu(gpu, profile, evidence):
    mode = evidence.record("compute mode", health.compute_mode(gpu.index), source="NVML")
    assert mode == profile.limit("gpu.compute_mode")


@requirement(
    "GPU-MIG",
    title="The GPU is not divided into MIG instances",
    why="A divided GPU gives each program a part of its memory and speed: models that fit the whole one do not load.",
    remedy=(
        "List the instances: nvidia-smi mig -lgi",
        "Stop all programs on the GPU and disable MIG: sudo nvidia-smi -mig 0 && sudo nvidia-smi --gpu-reset",
    ),
)
def test_the_gpu_is_not_divided(gpu, profile, evidence):
    divided = evidence.record("divided into instances (MIG)", health.mig_enabled(gpu.index), source="NVML")
    assert divided == profile.limit("gpu.mig")


@requirement(
    "GPU-ECC-MODE",
    title="Error correction (ECC) is on and stays on",
    why="Without error correction a flipped bit in a weight or a gradient goes unnoticed and corrupts the model.",
    remedy=(
        "Check it: nvidia-smi --query-gpu=ecc.mode.current,ecc.mode.pending --format=csv",
        "Enable it, which takes effect after a restart: sudo nvidia-smi -e 1 && sudo reboot",
    ),
)
def test_error_correction_is_on(gpu, profile, evidence):
    enabled = evidence.record("error correction is on and stays on", health.ecc_enabled(gpu.index), source="NVML")
    assert enabled == profile.limit("gpu.ecc")


@requirement(
    "GPU-ECC",
    title="The GPU's memory has had no uncorrected error, and few corrected ones",
    why="An uncorrected memory error ends the program that reads it: a training that takes days may never finish.",
    remedy=(
        "Find out which memory failed: nvidia-smi -q -d ECC; and when: sudo dmesg -T | grep -i xid",
        "Stop all programs on the GPU and reset it, which replaces bad rows: sudo nvidia-smi --gpu-reset",
        "Run NVIDIA's field diagnostics if corrected errors keep coming: dcgmi diag -r 4",
        "Run this again. If there are new errors after the reset, open a hardware case with this run folder.",
    ),
)
def test_memory_has_had_no_uncorrected_error(gpu, profile, evidence):
    errors = health.ecc_errors(gpu.index)
    evidence.record("this GPU counts errors", errors.counted, source=errors.source)
    corrected = evidence.record("corrected errors", errors.corrected, unit="error", source=errors.source)
    evidence.record("time of reading", errors.at_s, unit="s", source="s after the boot")
    evidence.record("uncorrected errors ever", errors.uncorrected_ever, unit="error", source=errors.source)
    uncorrected = evidence.record("uncorrected errors", errors.uncorrected, unit="error", source=errors.source)
    assert uncorrected.within(profile.limit("ecc.uncorrected"))
    assert corrected <= profile.limit("ecc.corrected")


@requirement(
    "GPU-ROW-REMAP",
    title="No memory row waits to be remapped, and none failed to be",
    why="A bad memory row that waits to be replaced is still in use: a training on it may fail or go wrong.",
    remedy=(
        "Check it: nvidia-smi -q -d ROW_REMAPPER",
        "Stop all programs on the GPU and reset it if a row is pending: sudo nvidia-smi --gpu-reset, or sudo reboot",
        "Take the machine out of service and open a hardware case if remapping failed: no spare row is left.",
    ),
)
def test_no_memory_row_waits_to_be_replaced(gpu, evidence):
    rows = health.remapped_rows(gpu.index)
    evidence.record("rows replaced after corrected errors", rows.corrected, unit="row", source=rows.source)
    evidence.record("rows replaced after uncorrected errors", rows.uncorrected, unit="row", source=rows.source)
    pending = evidence.record("rows waiting to be replaced", int(rows.pending), unit="row", source=rows.source)
    failed = evidence.record("rows that could not be replaced", int(rows.failed), unit="row", source=rows.source)
    assert pending == 0
    assert failed == 0
