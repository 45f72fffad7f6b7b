"""DISK-SPACE fails a machine without free space for the image, a model and data sets."""

from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, reads
from suites.host_readings import NOT_MEASURED

from dgxcert.probes.host import disk

FAILURES: tuple[Failure, ...] = (
    (
        "DISK-SPACE",
        reads(disk, "read", disk.Disk("/var/lib/docker", 59.9)),
        "free disk is 59.9 GiB, required >= 60 GiB",
        "docker image rm NAME",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("DISK-SPACE", reads(disk, "read", NOT_MEASURED), "no instrument answered"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("DISK-SPACE")


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
