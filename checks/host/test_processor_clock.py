"""Processor clocks: a busy core leaves its lowest level, and every processor is there for programs."""

from dgxcert import requirement
from dgxcert.probes.host.hardware import cpu_clock


@requirement(
    "CPU-CLOCK",
    title="Every processor is there, and a busy one runs fast",
    why="The host launches every kernel of a model: cores that stay at their lowest clock cost a tenth of decode.",
    remedy=cpu_clock.SLOW,
    stage="host",
)
def test_a_busy_processor_runs_fast(profile, evidence):
    clocks = cpu_clock.read()
    evidence.advise(*clocks.remedy)
    slowest = evidence.record("clock of the slowest busy core", clocks.slowest, unit="of highest", source=clocks.source)
    allowed = evidence.record("highest clock that is allowed", clocks.allowed, unit="of highest", source=clocks.source)
    source = f"{cpu_clock.CPUS}: {len(clocks.missing)} of {clocks.present} are offline or isolated"
    missing = evidence.record("missing processors", clocks.missing_share, unit="of processors", source=source)
    there = evidence.record("processors", max(1, clocks.present), unit="processor", source=str(cpu_clock.CPUS))
    assert there >= profile.limit("cpu.count")
    assert missing <= profile.limit("cpu.missing")
    assert allowed >= profile.limit("cpu.allowed")
    assert slowest >= profile.limit("cpu.clock")
