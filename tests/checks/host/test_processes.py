"""Every GPU of the driver must be idle."""

import check_file
import pytest
from suites import example, nvidia
from suites.judged import judge

from dgxcert.probes.gpu import processes

CHECKS = check_file.load("host/test_processes")


@pytest.mark.parametrize(("idle", "fault"), [(8, None), (7, "GPUs on which nobody computes")])
def test_every_gpu_must_be_idle(monkeypatch: pytest.MonkeyPatch, idle: int, fault: str | None) -> None:
    machine = example.MACHINE.model_copy(update={"gpus": nvidia.driver(8).gpus})
    monkeypatch.setattr(processes, "read", lambda machine: idle)
    judge(CHECKS.test_nobody_else_computes_on_the_gpus, machine, fault=fault)
