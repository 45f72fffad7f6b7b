"""A fault that the work left behind fails, and a log or counter that cannot show it is inconclusive."""

from types import SimpleNamespace

import check_file
import pytest
from suites.judged import judge

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import health
from dgxcert.probes.gpu.health import EccErrors, RemappedRows
from dgxcert.probes.host import boot, kernel_log
from dgxcert.probes.host.kernel_log import Event, KernelLog
from dgxcert.probes.host.xid import Kind
from dgxcert.profiles import profile as profiles

CHECKS = check_file.load("gpu/test_aftermath")
LOG = CHECKS.test_the_work_has_left_no_fault_in_the_kernel_log
MEMORY = CHECKS.test_the_work_has_left_no_error_in_the_gpus_memory
H200 = profiles.load("h200")
GPU = Device("cuda", 0, "NVIDIA H200")
SAME_BOOT = SimpleNamespace(boot_id=boot.read())
"""A machine that was not restarted since the run began."""


def log(*kinds: Kind, complete: bool = True) -> KernelLog:
    """A kernel log with one event of each kind, in addition to one of a user's program."""
    events = [Event("an event", "", "a line", kind) for kind in (Kind.APPLICATION, *kinds)]
    return KernelLog("dmesg", complete, None, tuple(events), refused_allocations=0)


@pytest.mark.parametrize("boot_id", ["0b1c", None], ids=["another", "unknown"])
def test_after_a_restart_the_result_is_inconclusive(monkeypatch: pytest.MonkeyPatch, boot_id: str | None) -> None:
    """Log and counters of the boot before are lost, and a fault with them."""
    restarted = SimpleNamespace(boot_id=boot_id)
    monkeypatch.setattr(kernel_log, "read", log)
    with pytest.raises(Inconclusive, match="boot"):
        LOG(restarted, H200, Recorder())
    monkeypatch.setattr(health, "ecc_errors", lambda index: EccErrors(True, 0, 0, 0, source="NVML"))
    monkeypatch.setattr(health, "remapped_rows", lambda index: RemappedRows(0, 0, False, False, source="NVML"))
    with pytest.raises(Inconclusive, match="boot"):
        MEMORY(GPU, restarted, H200, Recorder())


@pytest.mark.parametrize(("events", "fault"), [(log(), None), (log(Kind.FAULT), "faults in the kernel log")])
def test_a_fault_in_the_kernel_log_fails(monkeypatch: pytest.MonkeyPatch, events: KernelLog, fault: str | None) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: events)
    judge(LOG, SAME_BOOT, H200, fault=fault)


@pytest.mark.parametrize("events", [log(Kind.UNKNOWN), log(complete=False)], ids=["unknown event", "log cut"])
def test_a_log_that_leaves_it_open_is_inconclusive(monkeypatch: pytest.MonkeyPatch, events: KernelLog) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: events)
    with pytest.raises(Inconclusive):
        LOG(SAME_BOOT, H200, Recorder())


@pytest.mark.parametrize(
    ("uncorrected", "pending", "fault"),
    [(0, False, None), (1, False, "uncorrected errors"), (0, True, "rows waiting to be replaced")],
)
def test_a_memory_error_fails(
    monkeypatch: pytest.MonkeyPatch, uncorrected: int, pending: bool, fault: str | None
) -> None:
    errors = EccErrors(True, uncorrected, 3, 5, source="NVML")
    rows = RemappedRows(1, 1, pending, False, source="NVML")
    monkeypatch.setattr(health, "ecc_errors", lambda index: errors)
    monkeypatch.setattr(health, "remapped_rows", lambda index: rows)
    judge(MEMORY, GPU, SAME_BOOT, H200, fault=fault)
