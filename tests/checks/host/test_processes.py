"""HOST-GPU-IDLE is inconclusive where another process computes on a GPU: that is no fault of the machine."""

import check_file
import pytest
from suites import example, nvidia
from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, inconclusive, reads
from suites.host_readings import GB10, SPARK
from suites.inline import ended
from suites.judged import judge

from dgxcert.probes.gpu import nvml, processes

FAILURES: tuple[Failure, ...] = ()
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("HOST-GPU-IDLE", reads(nvml, "compute_processes", [4711]), "(GPU 0: "),
    ("HOST-GPU-IDLE", reads(nvml, "compute_processes", OSError("GPU is lost")), "OSError: GPU is lost"),
    ("HOST-GPU-IDLE", reads(nvml, "activity", nvml.Activity(0.97, (2**22 + 1,))), "97% busy, with graphics: process"),
    ("HOST-GPU-IDLE", reads(nvml, "activity", OSError("bus error")), "OSError: bus error"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("HOST-GPU-IDLE")


@inconclusive(*INCONCLUSIVE)
def test_what_cannot_be_measured_is_inconclusive_with_a_reason(
    host: HostMachine, id: str, change: Change, reason: str
) -> None:
    change(host)
    host.require_inconclusive(id, reason)


@pytest.mark.parametrize("busy", [0, 1])
def test_a_process_on_any_of_the_gpus_is_found(host: HostMachine, monkeypatch: pytest.MonkeyPatch, busy: int) -> None:
    host.machine = SPARK.model_copy(update={"gpus": (GB10, GB10.model_copy(update={"index": 1, "uuid": "GPU-1"}))})
    host.require_passed("HOST-GPU-IDLE")
    monkeypatch.setattr(nvml, "compute_processes", lambda index: [4711] if index == busy else [])
    result = host.run("HOST-GPU-IDLE")
    assert ended(result, "inconclusive")
    assert f"(GPU {busy}: " in result.stdout.str()


@pytest.mark.parametrize(("idle", "fault"), [(8, None), (7, "GPUs without other processes")])
def test_every_gpu_must_be_idle(monkeypatch: pytest.MonkeyPatch, idle: int, fault: str | None) -> None:
    machine = example.MACHINE.model_copy(update={"gpus": nvidia.driver(8).gpus})
    monkeypatch.setattr(processes, "read", lambda machine: idle)
    judge(check_file.load("host/test_processes").test_no_other_process_uses_the_gpus, machine, fault=fault)
