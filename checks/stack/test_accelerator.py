"""Accelerator: accelerate takes the device of this machine and passes its own test on it."""

from dgxcert import requirement
from dgxcert.probes.stack import lockfile
from dgxcert.workloads.stack import accelerator


@requirement(
    "ACCELERATE-TEST",
    why="Trainer works through accelerate: one that does not see the GPU trains on the CPU, a hundred times slower.",
    remedy=(
        "Run accelerate's own test and read the last line: python -m accelerate.test_utils.scripts.test_script",
        "No GPU was taken: unset ACCELERATE_USE_CPU; see GPU-CUDA.",
        "Install the stack as it is pinned: make clean setup; or use the container: make validate",
    ),
    tier="standard",
    takes_s=12,
    budget_s=240,
)
def test_accelerate_takes_the_device_and_passes_its_own_test(device, evidence):
    evidence.advise("python -m accelerate.test_utils.scripts.test_script", *lockfile.advice("accelerate"))
    found = accelerator.run(device)
    taken = evidence.record("device of accelerate", found.device, source="accelerate.Accelerator() in a fresh process")
    parts = evidence.record("parts of its own test", found.parts, source="accelerate.test_utils.scripts.test_script")
    assert taken == accelerator.expected(device)
    assert parts == ", ".join(accelerator.PARTS)
