"""Accelerate: it selects the device of this machine and passes its own test on it."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import accelerator


@requirement(
    "ACCELERATE-TEST",
    title="accelerate selects the GPU and passes its own test",
    why="Trainer runs on accelerate: where that does not select the GPU, training is a hundred times slower.",
    remedy=(
        "Run accelerate's own test and read the last line, in `make shell`: python -m "
        "accelerate.test_utils.scripts.test_script",
        "If no GPU was selected, in your shell: unset ACCELERATE_USE_CPU; then read the result of GPU-CUDA.",
        *lockfile.RESTORE,
    ),
    tier="standard",
    takes_s=10,
    budget_s=240,
)
def test_accelerate_selects_the_device_and_passes_its_own_test(device, evidence):
    evidence.advise("In `make shell`: python -m accelerate.test_utils.scripts.test_script", *lockfile.advice())
    result = accelerator.run(device)
    selected = evidence.record(
        "device of accelerate", result.device, source="accelerate.Accelerator() in a new process"
    )
    parts = evidence.record("parts of its own test", result.parts, source="accelerate.test_utils.scripts.test_script")
    assert selected == accelerator.expected(device)
    assert parts == ", ".join(accelerator.PARTS)
