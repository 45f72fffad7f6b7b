"""A fault that the work left behind fails, and a log or counter that cannot show it is inconclusive."""

from types import SimpleNamespace

import check_file
import pytest
from suites.judged import judge

from dgxcert.judgement.computation import Computation
from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import AfterWork, Inconclusive
from dgxcert.probes.gpu import health
from dgxcert.probes.gpu.health import EccErrors, RemappedRows
from dgxcert.probes.host import boot, kernel_log
from dgxcert.probes.host.hardware import sensors
from dgxcert.probes.host.hardware.sensors import Sensors, Temperature
from dgxcert.probes.host.kernel_log import Event, KernelLog
from dgxcert.probes.host.log.pattern import Subject
from dgxcert.probes.host.xid import Kind
from dgxcert.profiles import profile as profiles

CHECKS = check_file.load("gpu/test_aftermath")
LOG = CHECKS.test_the_work_has_left_no_fault_in_the_kernel_log
HOST_LOG = CHECKS.test_the_work_has_left_no_fault_of_the_host_in_the_kernel_log
MEMORY = CHECKS.test_the_work_has_left_no_error_in_the_gpus_memory
H200 = profiles.load("h200")
GPU = Device("cuda", 0, "NVIDIA H200")
SAME_BOOT = SimpleNamespace(boot_id=boot.read())
"""A machine that was not restarted since the run began."""


def log(*kinds: Kind, complete: bool = True, subject: Subject = Subject.GPU, at_s: float | None = None) -> KernelLog:
    """A kernel log with one event of each kind, in addition to one of a user's program."""
    own = [Event("an event", "", "a line", kind, subject=subject, at_s=at_s) for kind in kinds]
    events = [Event("an event", "", "a line", Kind.APPLICATION), *own]
    return KernelLog("dmesg", complete, None, tuple(events), refused_allocations=0)


@pytest.mark.parametrize("boot_id", ["0b1c", None], ids=["another", "unknown"])
def test_after_a_restart_the_result_is_inconclusive(monkeypatch: pytest.MonkeyPatch, boot_id: str | None) -> None:
    """Log and counters of the boot before are lost, and a fault with them."""
    restarted = SimpleNamespace(boot_id=boot_id)
    monkeypatch.setattr(kernel_log, "read", log)
    with pytest.raises(Inconclusive, match="boot"):
        LOG(restarted, H200, Computation(), Recorder())
    with pytest.raises(Inconclusive, match="boot"):
        HOST_LOG(restarted, H200, Recorder())
    monkeypatch.setattr(health, "ecc_errors", lambda index: EccErrors(True, 0, 0, 0, source="NVML"))
    monkeypatch.setattr(health, "remapped_rows", lambda index: RemappedRows(0, 0, False, False, source="NVML"))
    with pytest.raises(Inconclusive, match="boot"):
        MEMORY(GPU, restarted, H200, Computation(), Recorder())


@pytest.mark.parametrize(("events", "fault"), [(log(), None), (log(Kind.FAULT), "faults in the kernel log")])
def test_a_fault_in_the_kernel_log_fails(monkeypatch: pytest.MonkeyPatch, events: KernelLog, fault: str | None) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: events)
    judge(LOG, SAME_BOOT, H200, Computation(), fault=fault)


@pytest.mark.parametrize("events", [log(Kind.UNKNOWN), log(complete=False)], ids=["unknown event", "log cut"])
def test_a_log_that_leaves_it_open_is_inconclusive(monkeypatch: pytest.MonkeyPatch, events: KernelLog) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: events)
    with pytest.raises(Inconclusive):
        LOG(SAME_BOOT, H200, Computation(), Recorder())


HOST = (Subject.STORAGE, Subject.MEMORY, Subject.PCIE, Subject.CPU, Subject.POWER)


@pytest.mark.parametrize("subject", HOST)
def test_a_fault_of_the_host_fails_the_requirement_of_the_host_alone(
    monkeypatch: pytest.MonkeyPatch, subject: Subject
) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: log(Kind.FAULT, subject=subject))
    judge(HOST_LOG, SAME_BOOT, H200, fault="faults of the host")
    judge(LOG, SAME_BOOT, H200, Computation(), fault=None)


@pytest.mark.parametrize(
    "events",
    [
        log(Kind.UNKNOWN, subject=Subject.CPU),
        log(Kind.SUSPICIOUS, subject=Subject.STORAGE),
        log(subject=Subject.CPU, complete=False),
    ],
)
def test_a_log_that_leaves_the_host_open_is_inconclusive(monkeypatch: pytest.MonkeyPatch, events: KernelLog) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: events)
    with pytest.raises(Inconclusive):
        HOST_LOG(SAME_BOOT, H200, Recorder())


COMPUTED = tuple(f"{name}[gpu{gpu}]" for name in kernel_log.COMPUTING for gpu in (0, 1))


def computation(*failed: str, planned: tuple[str, ...] = COMPUTED, last_s: float | None = 310.1) -> Computation:
    """A run in which both GPUs computed, whose host stage saw its last doubtful line at `last_s`."""
    return Computation(planned, frozenset(planned) - set(failed), {kernel_log.DOUBTED: last_s})


def test_a_doubtful_line_from_before_the_work_is_decided_by_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: log(Kind.SUSPICIOUS, at_s=310.1))
    judge(LOG, SAME_BOOT, H200, computation(), fault=None)


@pytest.mark.parametrize(
    ("at_s", "done", "why"),
    [
        (310.2, computation(), "they came while this run worked"),
        (None, computation(), "they came while this run worked"),
        (310.1, computation("BF16-CORRECT[gpu1]"), r"BF16-CORRECT\[gpu1\] did not pass"),
        (310.1, computation(planned=()), "nothing measured KERNEL-CORRECT and BF16-CORRECT"),
        (310.1, computation(last_s=0.0), "they came while this run worked"),
    ],
)
def test_a_doubtful_line_that_no_computation_decides_stays_inconclusive(
    monkeypatch: pytest.MonkeyPatch, at_s: float | None, done: Computation, why: str
) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: log(Kind.SUSPICIOUS, at_s=at_s))
    with pytest.raises(Inconclusive, match=why) as raised:
        LOG(SAME_BOOT, H200, done, Recorder())
    assert not isinstance(raised.value, AfterWork)
    assert any("sudo reboot" in step for step in raised.value.remedy)


def test_before_the_work_a_doubtful_line_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_log, "read", lambda: log(Kind.SUSPICIOUS, at_s=310.1))
    with pytest.raises(AfterWork, match="events that may be faults"):
        LOG(SAME_BOOT, H200, Computation(), Recorder())


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
    judge(MEMORY, GPU, SAME_BOOT, H200, Computation(), fault=fault)


@pytest.mark.parametrize(
    ("before", "fault"),
    [
        ({"corrected errors": 0, "time of reading": 200.0}, "new corrected errors"),
        ({"corrected errors": 76_990, "time of reading": 200.0}, "new corrected errors"),
        ({"corrected errors": 77_000, "time of reading": 200.0}, None),
        ({"corrected errors": 87_000, "time of reading": 200.0}, None),
        ({}, None),
    ],
    ids=["a storm", "too many", "a few", "none", "never read"],
)
def test_corrected_errors_that_pour_in_while_the_gpu_works_fail(
    monkeypatch: pytest.MonkeyPatch, before: dict[str, float], fault: str | None
) -> None:
    errors = EccErrors(True, 0, 87_000, 0, source="NVML", at_s=300.0)
    monkeypatch.setattr(health, "ecc_errors", lambda index: errors)
    monkeypatch.setattr(health, "remapped_rows", lambda index: RemappedRows(8, 0, False, False, source="NVML"))
    for key in ("GPU-ECC[gpu0]", "GPU-ECC"):
        values = {(key, name): value for name, value in before.items()}
        judge(MEMORY, GPU, SAME_BOOT, H200, Computation(before=values), fault=fault)
    other = {("GPU-ECC[gpu1]", name): value for name, value in before.items()}
    judge(MEMORY, GPU, SAME_BOOT, H200, Computation(before=other), fault=None)


@pytest.mark.parametrize(("is_critical", "fault"), [(False, None), (True, "parts at their limit")])
def test_a_part_that_the_work_made_too_hot_fails(
    monkeypatch: pytest.MonkeyPatch, is_critical: bool, fault: str | None
) -> None:
    board = Sensors((Temperature("nvme Composite", 86.0, 84.8, is_critical),))
    monkeypatch.setattr(sensors, "settled", lambda: board)
    judge(CHECKS.test_the_work_has_brought_no_part_to_its_critical_temperature, SAME_BOOT, H200, fault=fault)
