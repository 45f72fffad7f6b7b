"""MEMORY-AVAILABLE, MEMORY-RESERVED and SWAP-UNUSED fail a machine whose memory is held, reserved or swapped out."""

from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, reads
from suites.host_readings import NOT_MEASURED

from dgxcert.probes.host import memory
from dgxcert.probes.host.hardware import reserved_memory
from dgxcert.probes.host.hardware.reserved_memory import Reserved

FAILURES: tuple[Failure, ...] = (
    (
        "MEMORY-AVAILABLE",
        reads(memory, "read", memory.Memory(121.6, 79.9, 15.0, 0.0)),
        "MemAvailable is 79.9 GiB, required >= 80 GiB",
        "ps aux --sort=-rss",
    ),
    (
        "MEMORY-AVAILABLE",
        reads(memory, "usable", memory.Usable(79.9, "memory.max of /job", "memory.max of /job", ("Raise it.",))),
        "memory that this process may take is 79.9 GiB, required >= 80 GiB",
        "Raise it.",
    ),
    (
        "SWAP-UNUSED",
        reads(memory, "read", memory.Memory(121.6, 110.0, 15.0, 2.1)),
        "swap in use is 2.1 GiB, required <= 2 GiB",
        "sudo reboot",
    ),
    (
        "MEMORY-RESERVED",
        reads(reserved_memory, "read", Reserved(121.7, 127.6, 15.3)),
        "reserved memory is 0.1199 of memory, required <= 0.065 of memory",
        "nvidia-spark-grub-kho",
    ),
    (
        "MEMORY-RESERVED",
        reads(reserved_memory, "read", Reserved(121.7, handover_gib=0.7)),
        "held by Kexec HandOver is 0.005752 of memory, required <= 0.005 of memory",
        "nvidia-spark-grub-kho",
    ),
    (
        "MEMORY-RESERVED",
        reads(reserved_memory, "read", Reserved(121.7, 127.6, 6.0, withheld=("memmap=4G$8G",))),
        "withheld by the command line is memmap=4G$8G, required == nothing",
        "update-grub",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("MEMORY-AVAILABLE", reads(memory, "read", NOT_MEASURED), "no instrument answered"),
    ("SWAP-UNUSED", reads(memory, "read", NOT_MEASURED), "no instrument answered"),
    ("MEMORY-RESERVED", reads(reserved_memory, "read", NOT_MEASURED), "no instrument answered"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("MEMORY-AVAILABLE", "SWAP-UNUSED", "MEMORY-RESERVED")


def test_a_healthy_machine_without_swap_passes(host: HostMachine) -> None:
    host.set(memory, "read", memory.Memory(121.6, 110.0, 0.0, 0.0))
    host.require_passed("SWAP-UNUSED")


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
