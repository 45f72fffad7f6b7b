"""DISK-SPACE fails a machine without free space for the image, a model and data sets."""

import pytest
from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, disks, failures, inconclusive, reads
from suites.host_readings import NOT_MEASURED

from dgxcert.probes.host import disk


def other(free_gib: float, inodes: int = 500_000) -> disk.Disk:
    """A disk beside the one for everything else."""
    return disk.Disk("/data", free_gib, inodes, device=7)


FAILURES: tuple[Failure, ...] = tuple(
    ("DISK-SPACE", reads(disk, "read", disks(**changed)), reason, "docker image rm NAME")
    for changed, reason in (
        (
            dict.fromkeys(("models", "images", "data_sets"), disk.Disk("/var/lib/docker", 59.9)),
            "free disk is 59.9 GiB, required >= 60 GiB",
        ),
        ({"models": other(39.9)}, "free for models is 39.9 GiB, required >= 40 GiB"),
        (
            {"images": disk.Disk("/images", 29.9, device=7)},
            "free for images is 29.9 GiB, required >= 30 GiB",
        ),
        ({"data_sets": other(15.9)}, "free for data sets is 15.9 GiB, required >= 16 GiB"),
        ({"results": other(0.9)}, "free for results is 0.9 GiB, required >= 1 GiB"),
        ({"temporary": other(0.9)}, "free for TMPDIR is 0.9 GiB, required >= 1 GiB"),
        ({"models": other(900, inodes=0)}, "free inodes is 0 inode, required >= 50000 inode"),
    )
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("DISK-SPACE", reads(disk, "read", NOT_MEASURED), "no instrument answered"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("DISK-SPACE")


@pytest.mark.parametrize(
    "changed",
    [
        {"models": other(40.0), "images": disk.Disk("/var/lib/docker", 30.0)},
        {"data_sets": other(16.0), "temporary": other(1.0), "results": other(1.0)},
        {"models": other(900.0, disk.UNCOUNTED_INODES)},
    ],
)
def test_each_disk_needs_only_what_goes_there(host: HostMachine, changed: dict[str, disk.Disk]) -> None:
    host.set(disk, "read", disks(**changed))
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
