"""CLOCK-SYNCHRONISED fails a clock that is not synchronised or may be wrong by seconds."""

from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, reads
from suites.host_readings import NOT_MEASURED

from dgxcert.probes.host import clock

FAILURES: tuple[Failure, ...] = (
    (
        "CLOCK-SYNCHRONISED",
        reads(clock, "read", clock.Clock(synchronised=False, max_error_s=0.1)),
        "clock is synchronised is False, required == True",
        "sudo timedatectl set-ntp true",
    ),
    (
        "CLOCK-SYNCHRONISED",
        reads(clock, "read", clock.Clock(synchronised=True, max_error_s=4.01)),
        "largest possible error is 4.01 s, required <= 4 s",
        "sudo timedatectl set-ntp true",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("CLOCK-SYNCHRONISED", reads(clock, "read", NOT_MEASURED), "no instrument answered"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("CLOCK-SYNCHRONISED")


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
