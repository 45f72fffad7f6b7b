"""FIRMWARE-RECORDED and KNOWN-BAD-VERSIONS fail machines without firmware versions, or with ones known to be bad."""

from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, machine, reads
from suites.host_readings import NOT_MEASURED

from dgxcert.probes.host.hardware import known_versions

KHO = {"product": "NVIDIA GB10", "kernel": "7.0.0-1019-nvidia", "cmdline": "ro quiet"}

FAILURES: tuple[Failure, ...] = (
    (
        "FIRMWARE-RECORDED",
        machine(firmware=""),
        "kernel and firmware are known is False, required == True",
        "fwupdmgr get-devices",
    ),
    (
        "KNOWN-BAD-VERSIONS",
        reads(known_versions, "read", known_versions.judged(KHO)),
        "known to be bad is this kernel reserves 9.3 GiB",
        "nvidia-spark-grub-kho",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    (
        "FIRMWARE-RECORDED",
        machine(firmware=None, unreadable={"firmware": "Permission denied"}),
        "the firmware of this machine could not be read: Permission denied",
    ),
    ("KNOWN-BAD-VERSIONS", reads(known_versions, "read", NOT_MEASURED), "no instrument answered"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("FIRMWARE-RECORDED", "KNOWN-BAD-VERSIONS")


def test_a_healthy_machine_with_another_system_than_dgx_os_passes(host: HostMachine) -> None:
    machine(dgx_release=None)(host)
    host.require_passed("FIRMWARE-RECORDED")


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
