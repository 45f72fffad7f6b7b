"""GPU-XID fails a machine whose GPU reported a fault, and passes one on which only programs crashed."""

import shutil
from pathlib import Path

import paths
import pytest
from probes.host.test_kernel_log import HEALTHY, HINT, REFUSED, tool
from suites import example
from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, reads
from suites.host_readings import NOT_MEASURED, log
from suites.inline import ended

from dgxcert.judgement.units import QUANTITIES
from dgxcert.probes.host import kernel_log
from dgxcert.profiles import profile as profiles
from dgxcert.runner import session

CHECK = paths.CHECKS / "host" / "test_kernel_log.py"
RECORDED = paths.RECORDED / "kernel_log"
WHAT_TO_DO = "--- GPU-XID: what to do ---"
PROFILES = ("dgx-spark", "generic-nvidia", "h200")

FALLEN = "[ 3600.000000] NVRM: Xid (PCI:000f:01:00): 79, GPU has fallen off the bus."
CRASHED = "[ 3600.000000] NVRM: Xid (PCI:000f:01:00): 31, pid=4711, name=python, MMU Fault."
NON_FATAL = "[ 3600.000000] pcieport 0000:00:01.0: AER: Uncorrected (Non-Fatal) error received: 0000:01:00.0"
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
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("GPU-XID", reads(kernel_log, "read", NOT_MEASURED), "no instrument answered"),
    ("GPU-XID", reads(kernel_log, "read", log(NEW)), "the kernel log holds unknown events"),
    ("GPU-XID", reads(kernel_log, "read", log(NON_FATAL)), "the kernel log holds events that may be faults"),
)


@pytest.mark.parametrize("lines", [(), (CRASHED,)], ids=["no event", "a program crashed"])
def test_a_healthy_machine_passes(host: HostMachine, lines: tuple[str, ...]) -> None:
    host.set(kernel_log, "read", log(*lines))
    host.require_passed("GPU-XID")


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

    def run(self, text: str, *, profile: str = "dgx-spark", stderr: str = "", code: int = 0) -> pytest.RunResult:
        tool(self._folder, "dmesg", text, stderr=stderr, code=code)
        shutil.copy(CHECK, self._pytester.path / CHECK.name)
        self._monkeypatch.setattr(session, "read_machine", lambda: example.MACHINE)
        self._monkeypatch.setattr(session, "choose_profile", lambda name, machine: profiles.load(profile))
        self._monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        self._monkeypatch.setenv("PATH", str(self._folder))
        return self._pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "dgxcert.runner.plugin", CHECK.name)


@pytest.fixture
def fake_log(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeLog:
    folder = tmp_path / "programs"
    folder.mkdir()
    return FakeLog(pytester, monkeypatch, folder)


@pytest.mark.parametrize(
    "name", ["spark-healthy", "programs", "hung-on-disk", "spark-corrected", "crash-log", "virtual-busy"]
)
def test_a_machine_without_a_fault_passes_whatever_its_programs_did(fake_log: FakeLog, name: str) -> None:
    assert ended(fake_log.run(recorded(name)), "passed")


@pytest.mark.parametrize(
    ("name", "reason", "step"),
    [
        ("spark-gsp", "faults in the kernel log is 4 event, required <= 0 event", "Restart the machine: sudo reboot"),
        (
            "spark-half-updated",
            "SEC2 timeout (its firmware does not answer)",
            "apt full-upgrade; sudo fwupdmgr update",
        ),
        ("spark-closed-module", "Xid 169 (", "sudo apt install nvidia-driver-580-open, then sudo reboot"),
        ("spark-frozen", "soft lockup (a CPU hung in the kernel)", "from 580.159.03 on"),
        ("memory-rows", "Xid 94 (a contained ECC error) on 0000:19:00, 2 times", "--gpu-reset"),
        ("nvlink5", "Xid 154 (the GPU asks for: Drain and Reset) on 0009:01:00", "nvidia-smi nvlink --status"),
        ("nvswitch", "SXid 20034 (a fatal error of an NVSwitch)", "nvidia-smi nvlink --errorcounters"),
        ("hung-in-driver", "nvc:[driver] hung in the NVIDIA driver", "Read where it hung: sudo dmesg"),
        ("spark-memory", "hardware error (recoverable: memory error)", "make validate ONLY=MEMORY-PATTERN"),
        ("spark-boot-record", "fatal: ARM processor error, before this boot", "grep -E 'Hardware Error|EDAC"),
        ("spark-pcie", "PCIe error (fatal) on 0000:01:00", "lspci -s ADDRESS"),
    ],
)
def test_a_fault_fails_with_its_description_and_its_own_remedy(
    fake_log: FakeLog, name: str, reason: str, step: str
) -> None:
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
        "events only recorded": 1,
        "refused allocations": 1,
        "events that may be faults": 0,
        "lines of the driver": 7,
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

    assert len(kernel_log.COMMANDS) * kernel_log.TIMEOUT_S < MIN_BUDGET_S / 2
