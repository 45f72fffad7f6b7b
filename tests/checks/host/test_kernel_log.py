"""A fault in the kernel log fails the requirement of its subject; what programs did fails none."""

import shutil
from pathlib import Path

import paths
import pytest
from probes.host.test_kernel_log import HEALTHY, HINT, REFUSED, tool
from suites import example
from suites.host_machine import DECLARED, Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, reads
from suites.host_readings import NOT_MEASURED, log
from suites.inline import ended

from dgxcert.judgement.units import QUANTITIES
from dgxcert.probes.host import kernel_log
from dgxcert.probes.host.log import counters, last_boot, reading
from dgxcert.profiles import profile as profiles
from dgxcert.runner import session

CHECK = paths.CHECKS / "host" / "test_kernel_log.py"
RECORDED = paths.RECORDED / "kernel_log"
WHAT_TO_DO = ": what to do ---"
PROFILES = ("dgx-spark", "generic-nvidia", "h200")

FALLEN = "[ 3600.000000] NVRM: Xid (PCI:000f:01:00): 79, GPU has fallen off the bus."
CRASHED = "[ 3600.000000] NVRM: Xid (PCI:000f:01:00): 31, pid=4711, name=python, MMU Fault."
NON_FATAL = "[ 3600.000000] pcieport 0000:00:01.0: AER: Uncorrected (Non-Fatal) error received: 0000:01:00.0"
BAD_READ = "[ 310.1] NVRM: GPU0 f_GH100: Possible bad register read: addr: 0x611ef0,  regvalue: 0xbadf5600"
LATE = "[ 3600.000000] nvme nvme0: I/O 0 QID 3 timeout, completion polled"
STORM = "[ 3600.000000] mce: CMCI storm detected: switching to poll mode"
NMI = "[ 3600.000000] Uhhuh. NMI received for unknown reason 3d on CPU 0."
OOPS = "[ 3600.000000] Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1]"
SAGGED = "[ 3600.000000] cooling-unit psu: under-voltage on the 12 V rail"
CUT = "[350101.118201] usb 1-1: new device"
OF_THE_HOST = ("STORAGE-HEALTHY", "MEMORY-HEALTHY", "PCIE-HEALTHY", "CPU-HEALTHY", "POWER-HEALTHY")
OF_A_SUBJECT = (
    (
        "STORAGE-HEALTHY",
        "nvme nvme0: controller is down; will reset: CSTS=0xffffffff",
        "faults of drives is",
        "smart-log",
    ),
    ("MEMORY-HEALTHY", "Memory failure: 0x131e00: recovery action", "faults of memory is", "ONLY=MEMORY-PATTERN"),
    ("PCIE-HEALTHY", "pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error", "faults of PCIe is", "lspci -s ADDRESS"),
    ("CPU-HEALTHY", "watchdog: BUG: soft lockup - CPU#18 stuck for 27s!", "faults of CPUs is", "Read where it hung"),
    ("POWER-HEALTHY", "hwmon hwmon1: Undervoltage detected!", "faults of power is", "plugged in firmly"),
)
NEW = "[ 3600.000000] NVRM: Xid (PCI:000f:01:00): 9999, pid=4711, name=python, something new."

FAILURES: tuple[Failure, ...] = (
    (
        "GPU-XID",
        reads(kernel_log, "read", log(FALLEN)),
        "faults in the kernel log is 1 event, required <= 0 event",
        "sudo reboot",
    ),
    (
        "GPU-XID",
        reads(kernel_log, "read", log(FALLEN, FALLEN, NEW)),
        "faults in the kernel log is 2 event, required <= 0 event",
        "sudo reboot",
    ),
    (
        "STORAGE-HEALTHY",
        reads(counters, "read", counters.Counters(0, 0, ("nvme0 is dead",), "EDAC")),
        "drives that are gone is 1 drive, required",
        "smart-log",
    ),
    (
        "MEMORY-HEALTHY",
        reads(counters, "read", counters.Counters(1, 0, (), "EDAC")),
        "uncorrected errors is 1 error, required",
        "ONLY=MEMORY-PATTERN",
    ),
    *((name, reads(kernel_log, "read", log(f"[ 9.0] {line}")), *said) for name, line, *said in OF_A_SUBJECT),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("GPU-XID", reads(kernel_log, "read", NOT_MEASURED), "no instrument answered"),
    ("GPU-XID", reads(kernel_log, "read", log(NEW)), "the kernel log holds unknown events"),
    ("GPU-XID", reads(kernel_log, "read", log(BAD_READ)), "the kernel log holds events that may be faults"),
    ("PCIE-HEALTHY", reads(kernel_log, "read", log(NON_FATAL)), "the kernel log holds events that may be faults"),
    ("STORAGE-HEALTHY", reads(kernel_log, "read", log(LATE)), "timeout of nvme0 (a command was repeated)"),
    ("MEMORY-HEALTHY", reads(kernel_log, "read", log(STORM)), "so many that the kernel stopped counting each"),
    ("CPU-HEALTHY", reads(kernel_log, "read", log(NMI)), "hardware interrupted for a reason that is not known"),
    ("CPU-HEALTHY", reads(kernel_log, "read", log(OOPS)), "the kernel log holds unknown events"),
    ("POWER-HEALTHY", reads(kernel_log, "read", log(SAGGED)), "speaks of too little or too much"),
    ("LAST-BOOT", reads(last_boot, "read", NOT_MEASURED), "no instrument answered"),
    ("LAST-BOOT", reads(last_boot, "read", last_boot.parse("[ 9.0] host kernel: up")), "ended without a shutdown"),
    *((name, reads(kernel_log, "read", NOT_MEASURED), "no instrument answered") for name in OF_THE_HOST),
    *((name, reads(kernel_log, "read", kernel_log.parse(CUT)), "holds no fault, but begins") for name in OF_THE_HOST),
)


@pytest.mark.parametrize("lines", [(), (CRASHED,)], ids=["no event", "a program crashed"])
def test_a_healthy_machine_passes(host: HostMachine, lines: tuple[str, ...]) -> None:
    host.set(kernel_log, "read", log(*lines))
    host.require_passed("GPU-XID", "LAST-BOOT", *OF_THE_HOST)


@pytest.mark.parametrize(("id", "line"), [row[:2] for row in OF_A_SUBJECT], ids=[row[0] for row in OF_A_SUBJECT])
def test_a_fault_of_one_subject_leaves_the_others_alone(host: HostMachine, id: str, line: str) -> None:
    host.set(kernel_log, "read", log(f"[ 9.0] {line}"))
    host.require_passed("GPU-XID", *(other for other in OF_THE_HOST if other != id))


@failures(*FAILURES)
def test_a_fault_fails_with_its_reason_and_remedy(
    host: HostMachine, id: str, change: Change, reason: str, step: str
) -> None:
    change(host)
    host.require_failed(id, reason, step)


@inconclusive(*INCONCLUSIVE)
def test_what_cannot_be_measured_is_inconclusive_with_a_reason(
    host: HostMachine, id: str, change: Change, reason: str
) -> None:
    change(host)
    host.require_inconclusive(id, reason)


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.txt").read_text(encoding="utf-8")


class FakeLog:
    """The real check on a machine whose dmesg prints a given log and whose journal is empty."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self._folder = folder
        tool(folder, "journalctl", "-- No entries --\n", stderr=HINT)

    id = "GPU-XID"
    """The requirement that is measured."""

    def run(self, text: str, *, profile: str = "dgx-spark", stderr: str = "", code: int = 0) -> pytest.RunResult:
        tool(self._folder, "dmesg", text, stderr=stderr, code=code)
        shutil.copy(CHECK, self._pytester.path / CHECK.name)
        self._monkeypatch.setattr(session, "read_machine", lambda: example.MACHINE)
        self._monkeypatch.setattr(session, "choose_profile", lambda name, machine: profiles.load(profile))
        self._monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        self._monkeypatch.setenv("PATH", str(self._folder))
        options = ("-p", "no:cacheprovider", "-p", "dgxcert.runner.plugin")
        return self._pytester.runpytest_inprocess(*options, f"{CHECK.name}::{DECLARED[self.id].test}")


@pytest.fixture
def fake_log(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeLog:
    folder = tmp_path / "programs"
    folder.mkdir()
    return FakeLog(pytester, monkeypatch, folder)


@pytest.mark.parametrize("id", ["GPU-XID", *OF_THE_HOST])
@pytest.mark.parametrize(
    "name", ["spark-healthy", "programs", "hung-on-disk", "spark-corrected", "crash-log", "virtual-busy"]
)
def test_a_machine_without_a_fault_passes_whatever_its_programs_did(fake_log: FakeLog, id: str, name: str) -> None:
    fake_log.id = id
    assert ended(fake_log.run(recorded(name)), "passed")


@pytest.mark.parametrize(
    ("id", "name", "reason", "step"),
    [
        (
            "GPU-XID",
            "spark-gsp",
            "faults in the kernel log is 4 event, required <= 0 event",
            "Restart the machine: sudo reboot",
        ),
        (
            "GPU-XID",
            "spark-half-updated",
            "SEC2 timeout (its firmware does not answer)",
            "apt full-upgrade; sudo fwupdmgr update",
        ),
        ("GPU-XID", "spark-closed-module", "Xid 169 (", "sudo apt install nvidia-driver-580-open, then sudo reboot"),
        ("CPU-HEALTHY", "spark-frozen", "soft lockup (a CPU hung in the kernel)", "from 580.159.03 on"),
        ("GPU-XID", "memory-rows", "Xid 94 (a contained ECC error) on 0000:19:00, 2 times", "--gpu-reset"),
        (
            "GPU-XID",
            "nvlink5",
            "Xid 154 (the GPU asks for: Drain and Reset) on 0009:01:00",
            "nvidia-smi nvlink --status",
        ),
        ("GPU-XID", "nvswitch", "SXid 20034 (a fatal error of an NVSwitch)", "nvidia-smi nvlink --errorcounters"),
        ("GPU-XID", "hung-in-driver", "nvc:[driver] hung in the NVIDIA driver", "Read where it hung: sudo dmesg"),
        (
            "MEMORY-HEALTHY",
            "spark-memory",
            "hardware error (recoverable: memory error)",
            "make validate ONLY=MEMORY-PATTERN",
        ),
        (
            "CPU-HEALTHY",
            "spark-boot-record",
            "fatal: ARM processor error, before this boot",
            "grep -E 'Hardware Error|EDAC",
        ),
        ("PCIE-HEALTHY", "spark-pcie", "PCIe error (fatal) on 0000:01:00", "lspci -s ADDRESS"),
    ],
)
def test_a_fault_fails_with_its_description_and_its_own_remedy(
    fake_log: FakeLog, id: str, name: str, reason: str, step: str
) -> None:
    fake_log.id = id
    result = fake_log.run(recorded(name))
    assert ended(result, "failed")
    printed = result.stdout.str()
    assert reason in printed
    assert step in printed[printed.index(WHAT_TO_DO) :]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_with_a_gpu_allows_no_fault(fake_log: FakeLog, profile: str) -> None:
    assert ended(fake_log.run(HEALTHY, profile=profile), "passed")
    one = f"{HEALTHY}[99999.000001] NVRM: GPU 000f:01:00.0: GPU has fallen off the bus.\n"
    result = fake_log.run(one, profile=profile)
    assert ended(result, "failed")
    assert "faults in the kernel log is 1 event, required <= 0 event" in result.stdout.str()


UNKNOWN = "[99999.000001] NVRM: Xid (PCI:000f:01:00): 999, something new\n"


def test_an_unknown_number_is_inconclusive_and_named(fake_log: FakeLog) -> None:
    result = fake_log.run(HEALTHY + UNKNOWN)
    assert ended(result, "inconclusive")
    printed = result.stdout.str()
    assert "NVRM: Xid (PCI:000f:01:00): 999, something new" in printed
    assert "https://docs.nvidia.com/deploy/xid-errors" in printed[printed.index(WHAT_TO_DO) :]


def test_a_fault_beside_an_unknown_number_is_a_fault(fake_log: FakeLog) -> None:
    assert ended(fake_log.run(UNKNOWN + recorded("memory-rows")), "failed")


CLEARED = "[262144.000001] usb 1-1: new high-speed USB device number 7 using xhci_hcd\n"


@pytest.mark.parametrize("text", [recorded("cut"), CLEARED], ids=["overflowed", "cleared by dmesg -C"])
def test_an_incomplete_log_is_inconclusive_with_the_command_for_a_complete_one(fake_log: FakeLog, text: str) -> None:
    result = fake_log.run(text)
    assert ended(result, "inconclusive")
    printed = result.stdout.str()
    assert "holds no fault, but begins" in printed
    remedy = printed[printed.index(WHAT_TO_DO) :]
    for step in ("sudo usermod -aG adm $USER", "sudo mkdir -p /var/log/journal", "sudo reboot"):
        assert step in remedy


def test_a_fault_in_an_incomplete_log_is_a_fault(fake_log: FakeLog) -> None:
    assert ended(
        fake_log.run(f"{CLEARED}[262150.000001] NVRM: GPU 000f:01:00.0: GPU has fallen off the bus.\n"), "failed"
    )


def test_a_log_without_permission_is_inconclusive_with_the_command_that_grants_it(fake_log: FakeLog) -> None:
    result = fake_log.run("", stderr=REFUSED, code=1)
    assert ended(result, "inconclusive")
    printed = result.stdout.str()
    assert REFUSED in printed
    assert "sudo usermod -aG adm $USER" in printed[printed.index(WHAT_TO_DO) :]


def test_events_that_are_not_judged_are_recorded(
    fake_log: FakeLog, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester
) -> None:
    kept: list[tuple[str, object]] = []

    def finished(direct: object, trial: object, config: object) -> None:
        kept.extend((item.name, item.value) for item in trial.recorder.kept)  # type: ignore[attr-defined]

    monkeypatch.setattr(session.Direct, "finished", finished)
    fake_log.run(recorded("programs") + "[ 500.000001] NVRM: Check failed [NV_ERR_NO_MEMORY] (0x00000051)\n")
    assert dict(kept) == {
        "kernel log reaches back to": "the boot",
        "events of programs": 6,
        "events only recorded": 0,
        "refused allocations": 1,
        "events that may be faults": 0,
        "lines of the driver": 7,
        "of them in no table": 0,
        "last event that may be a fault": 0.0,
        "faults in the kernel log": 0,
    }


def test_the_limit_is_zero_events_in_every_profile_with_a_gpu() -> None:
    assert QUANTITIES["xid.faults"] == ("event",)
    for name in PROFILES:
        limit = profiles.load(name).limit("xid.faults")
        assert (limit.max, limit.unit) == (0, "event")
        assert "GPU-XID" not in {**profiles.load(name).not_applicable, **profiles.load(name).not_applicable_native}
    assert profiles.load("cpu").not_applicable["GPU-XID"] == "this profile rehearses without a GPU"


def test_two_tools_that_hang_fit_into_the_time_budget_of_the_check() -> None:
    from dgxcert.judgement.requirement import MIN_BUDGET_S

    assert len(kernel_log.COMMANDS) * reading.TIMEOUT_S < MIN_BUDGET_S / 2
