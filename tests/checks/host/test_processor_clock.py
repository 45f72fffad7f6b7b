"""CPU-CLOCK fails a machine whose busy cores stay slow, or whose cores are capped, offline or isolated."""

from suites.host_machine import Change, Failure, HostMachine, Inconclusiveness, failures, inconclusive, reads
from suites.host_readings import NOT_MEASURED

from dgxcert.probes.host.hardware import cpu_clock
from dgxcert.probes.host.hardware.cpu_clock import Core, CpuClocks


def clocks(busy: float = 4004, allowed: float = 4004, missing: tuple[int, ...] = ()) -> CpuClocks:
    return CpuClocks((Core(3, busy, 1378, 4004, allowed, "schedutil", "cppc_cpufreq"),), 20, missing)


FAILURES: tuple[Failure, ...] = (
    (
        "CPU-CLOCK",
        reads(cpu_clock, "read", clocks(busy=1378)),
        "clock of the slowest busy core is 0.3442 of highest, required >= 0.5 of highest",
        "scaling_governor",
    ),
    (
        "CPU-CLOCK",
        reads(cpu_clock, "read", clocks(busy=3000, allowed=3000)),
        "highest clock that is allowed is 0.7493 of highest, required >= 0.9 of highest",
        "scaling_max_freq",
    ),
    (
        "CPU-CLOCK",
        reads(cpu_clock, "read", clocks(missing=(19,))),
        "missing processors is 0.05 of processors, required <= 0 of processors",
        "isolcpus",
    ),
    (
        "CPU-CLOCK",
        reads(cpu_clock, "read", CpuClocks((), 19, ())),
        "processors is 19 processor, required >= 20 processor",
        "nr_cpus",
    ),
)
INCONCLUSIVE: tuple[Inconclusiveness, ...] = (
    ("CPU-CLOCK", reads(cpu_clock, "read", NOT_MEASURED), "no instrument answered"),
)


def test_a_healthy_machine_passes(host: HostMachine) -> None:
    host.require_passed("CPU-CLOCK")


def test_a_machine_that_reports_no_clocks_passes(host: HostMachine) -> None:
    """A virtual machine has none."""
    host.set(cpu_clock, "read", CpuClocks((), 20, ()))
    host.require_passed("CPU-CLOCK")


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
