"""BOARD-TEMPERATURE fails a part at its limit, POWER-INPUT limited power and PROCHOT on a cool board."""

from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, reads
from suites.host_readings import NOT_MEASURED

from dgxcert.probes.host.hardware import sensors
from dgxcert.probes.host.hardware.sensors import Sensors, Temperature

FAILURES: tuple[Failure, ...] = (
    (
        "BOARD-TEMPERATURE",
        reads(sensors, "settled", Sensors((Temperature("nvme Composite", 86.0, 84.8, is_critical=True),))),
        "parts at their limit is 1 part, required <= 0 part",
        "clean the filters",
    ),
    (
        "POWER-INPUT",
        reads(sensors, "settled", Sensors(limits_w={"pl1": 20.0, "syspl1": 30.0})),
        "pl1 is limited to 20 W, syspl1 is limited to 30 W",
        "Use the supplied power supply",
    ),
    (
        "POWER-INPUT",
        reads(sensors, "settled", Sensors(contracts_w={"ucsi-source-psy-USBC000:001": 30.0})),
        "ucsi-source-psy-USBC000:001 is offered 30 W",
        "Use the supplied power supply",
    ),
    (
        "POWER-INPUT",
        reads(sensors, "settled", Sensors((Temperature("acpitz", 41.0),), prochot=1)),
        "no PROCHOT on a cool board",
        "NVDA8800:*/prochot",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("BOARD-TEMPERATURE", reads(sensors, "settled", NOT_MEASURED), "no instrument answered"),
    ("POWER-INPUT", reads(sensors, "settled", NOT_MEASURED), "no instrument answered"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("BOARD-TEMPERATURE", "POWER-INPUT")


def test_a_machine_without_sensors_passes(host: HostMachine) -> None:
    """A virtual machine has none."""
    host.set(sensors, "settled", Sensors())
    host.require_passed("BOARD-TEMPERATURE", "POWER-INPUT")


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
