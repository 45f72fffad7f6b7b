"""A GPU that wants a recovery fails by that count alone."""

from collections.abc import Callable

import check_file
import pytest
from suites import example
from suites.judged import judge

from dgxcert.probes.gpu import recovery
from dgxcert.probes.gpu.recovery import Recovery

CHECKS = check_file.load("gpu/test_recovery")
RECOVERY = (CHECKS.test_the_driver_asks_for_no_recovery, CHECKS.test_the_work_has_left_no_gpu_to_recover)


@pytest.mark.parametrize("check", RECOVERY)
@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (Recovery({0: "NONE"}), None),
        (Recovery({}, (0,)), None),
        (Recovery({0: "NONE", 1: "GPU_RESET"}), "GPUs that want to be recovered"),
    ],
)
def test_a_gpu_that_wants_a_recovery_fails(
    monkeypatch: pytest.MonkeyPatch, check: Callable[..., None], found: Recovery, fault: str | None
) -> None:
    monkeypatch.setattr(recovery, "read", lambda machine: found)
    evidence = judge(check, example.MACHINE, fault=fault)
    assert evidence.advice == found.remedy
