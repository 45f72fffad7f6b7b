"""FIRMWARE-RECORDED fails a machine that reports no firmware, and is inconclusive where it cannot be read."""

from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, machine

FAILURES: tuple[Failure, ...] = (
    (
        "FIRMWARE-RECORDED",
        machine(firmware=""),
        "kernel and firmware are known is False, required == True",
        "fwupdmgr get-devices",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    (
        "FIRMWARE-RECORDED",
        machine(firmware=None, unreadable={"firmware": "Permission denied"}),
        "the firmware of this machine could not be read: Permission denied",
    ),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("FIRMWARE-RECORDED")


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
