"""DRIVER-AGREES and DRIVER-BRANCH fail a half-updated driver and one of an unsupported branch."""

import check_file
import pytest
from suites import nvidia
from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, reads
from suites.host_readings import NOT_MEASURED, driver, half_updated
from suites.judged import judge

from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import kernel_module
from dgxcert.probes.host.kernel_module import KernelModule

FAILURES: tuple[Failure, ...] = (
    (
        "DRIVER-AGREES",
        reads(nvml, "read", half_updated()),
        "library fits the module is False, required == True",
        "sudo reboot",
    ),
    (
        "DRIVER-AGREES",
        reads(kernel_module, "read", KernelModule("580.95.05", is_open=True)),
        "version of the library is 580.126.09, required == 580.95.05",
        "sudo reboot",
    ),
    (
        "DRIVER-BRANCH",
        reads(nvml, "read", driver("575.64.03")),
        "driver branch is 575 driver branch, required == 580 driver branch",
        "sudo apt full-upgrade",
    ),
    (
        "DRIVER-BRANCH",
        reads(nvml, "read", driver("595.10")),
        "driver branch is 595 driver branch, required == 580 driver branch",
        "Go back to the branch",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("DRIVER-AGREES", reads(kernel_module, "read", NOT_MEASURED), "no instrument answered"),
    (
        "DRIVER-AGREES",
        reads(nvml, "read", Inconclusive("the driver hangs", "Restart the machine.")),
        "the driver hangs",
    ),
    ("DRIVER-AGREES", reads(nvml, "read", driver(None)), "NVML Shared Library Not Found"),
    ("DRIVER-BRANCH", reads(nvml, "read", half_updated()), "the driver is only half updated"),
    ("DRIVER-BRANCH", reads(nvml, "read", driver(None)), "NVML Shared Library Not Found"),
    ("DRIVER-BRANCH", reads(nvml, "read", driver("unknown")), "has no branch"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("DRIVER-AGREES", "DRIVER-BRANCH")


@pytest.mark.parametrize(
    ("id", "change"),
    [
        ("DRIVER-AGREES", reads(kernel_module, "read", KernelModule("580.126.09", is_open=False))),
        ("DRIVER-BRANCH", reads(nvml, "read", driver("580.999"))),
    ],
    ids=[
        "a closed kernel module of the same version as its library",
        "the newest driver of the branch that NVIDIA supports",
    ],
)
def test_another_healthy_driver_passes(host: HostMachine, id: str, change: Change) -> None:
    change(host)
    host.require_passed(id)


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


@pytest.mark.parametrize(
    ("module", "mismatch", "fault"),
    [
        ("580.95.05", None, None),
        ("580.95.05", "Driver/library version mismatch", "library fits the module"),
        ("580.126.09", None, "version of the library"),
    ],
)
def test_a_driver_of_two_versions_fails_whether_or_not_it_reports_that(
    monkeypatch: pytest.MonkeyPatch, module: str, mismatch: str | None, fault: str | None
) -> None:
    monkeypatch.setattr(kernel_module, "read", lambda: KernelModule(module, is_open=True))
    monkeypatch.setattr(nvml, "read", lambda: nvidia.driver(1, mismatch=mismatch))
    test = check_file.load("host/test_driver").test_the_drivers_library_and_kernel_module_are_of_one_version
    judge(test, fault=fault)
