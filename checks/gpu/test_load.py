"""GPU under load: it reaches its working clock, holds it, stays cool, and nothing holds its power back.

One load of sustained bf16 products is sampled once for all of these.
"""

from dgxcert import requirement
from dgxcert.probes.gpu import health
from dgxcert.workloads.hardware import sustained

WORK = {"takes_s": 14, "budget_s": 240, "tier": "standard"}
READ = {"takes_s": 1, "budget_s": 240, "tier": "standard"}


@requirement(
    "GPU-CLOCK-UNDER-LOAD",
    why="A Spark stuck in its low-power state trains and generates at a third of its speed, and reports no throttling.",
    remedy=sustained.STUCK,
    **WORK,
)
def test_the_gpu_reaches_its_working_clock_under_load(gpu, profile, evidence):
    load = sustained.measured(gpu, profile)
    evidence.watched(load.samples.trace(gpu.index))
    evidence.advise(*load.remedy)
    evidence.record("sampling", load.samples.cpu_share, unit="of a core", source=load.samples.source)
    evidence.record("utilisation", load.samples.median("utilization"), unit="%", source=load.samples.source)
    median, highest = load.samples.median("clock"), load.highest("clock")
    clock = evidence.record("SM clock under load", median, unit="MHz", source=load.samples.source, ceiling=highest)
    assert clock >= profile.limit("clock.under_load")


@requirement(
    "GPU-STEADY",
    why="A clock that falls while the GPU works makes every long training slower than its first minute promised.",
    remedy=(
        "Watch it for some minutes under load: nvidia-smi dmon -s pc",
        "Falling with rising temperature: see GPU-THERMAL. Falling while cool: see GPU-CLOCK-UNDER-LOAD.",
        "Give it longer: dgxcert validate --tier burn-in --only BURN-IN --minutes 30",
    ),
    **READ,
)
def test_the_clock_does_not_fall_while_the_gpu_works(gpu, profile, evidence):
    load = sustained.measured(gpu, profile)
    steadiness = evidence.record(
        "clock at the end of the load", load.samples.steadiness("clock"), unit="of start", source=load.samples.source
    )
    assert steadiness >= profile.limit("clock.steadiness")


@requirement(
    "GPU-THERMAL",
    why="A hot GPU slows itself down: long trainings take longer, and at last the machine switches itself off.",
    remedy=(
        "Look at it: nvidia-smi -q -d TEMPERATURE,PERFORMANCE; on a Spark also: sensors",
        "Give it air: nothing on or behind the machine, filters clean, the room below 30 °C; then run this again.",
        "See that fans turn under load; update the firmware: sudo fwupdmgr update",
        "Still hot in a cool room: open a hardware case with this run folder.",
    ),
    **READ,
)
def test_the_gpu_stays_cool_under_load(gpu, profile, evidence):
    samples = sustained.measured(gpu, profile).samples
    hottest = evidence.record("highest temperature", samples.highest("temperature"), unit="°C", source=samples.source)
    slowed = evidence.record("slowed down for heat", samples.hot, unit="of time", source=samples.source_with_counters)
    assert hottest <= profile.limit("temperature.under_load")
    assert slowed <= profile.limit("slowdown.thermal")


@requirement(
    "GPU-POWER",
    why="A GPU whose power is held back computes slower than it could, often without saying so at any one moment.",
    remedy=(
        "Look at it under load: nvidia-smi -q -d POWER,PERFORMANCE; the counters tell more than the moment.",
        "Power brake: the machine's power supplies hold it back. Look at them: ipmitool sdr type 'Power Supply'",
        "A Spark: use its own power supply on an outlet of its own, restart after days of uptime, update firmware.",
        "Still capped after a cold start: open a hardware case with this run folder.",
    ),
    **READ,
)
def test_nothing_holds_the_gpus_power_back(gpu, profile, evidence):
    samples = sustained.measured(gpu, profile).samples
    evidence.record("power under load", samples.median("power_w"), unit="W", source=samples.source)
    braked = evidence.record("power brake", samples.braked, unit="of time", source=samples.source_with_counters)
    capped = evidence.record("power capped", samples.power_capped, unit="of time", source=samples.source_with_counters)
    assert braked <= profile.limit("slowdown.power_brake")
    assert capped <= profile.limit("slowdown.power_cap")


@requirement(
    "GPU-POWER-LIMIT",
    why="A power limit that somebody lowered and forgot slows every training and every answer.",
    remedy=(
        "Look at it: nvidia-smi -q -d POWER",
        "Set the default again: sudo nvidia-smi -pl WATTS, with the default that the first step shows",
        "Look for what lowers it again: systemctl list-units '*nvidia*'; crontab -l",
    ),
)
def test_the_power_limit_is_the_one_that_the_gpu_ships_with(gpu, profile, evidence):
    found = health.power_limit(gpu.index)
    share = evidence.record("power limit", found.of_default, unit="of default", source=found.source)
    assert share >= profile.limit("power.limit")


@requirement(
    "GPU-LINK",
    why="A slot or cable at half its lanes halves the speed at which models and batches reach the GPU.",
    remedy=(
        "Compare with another GPU of the machine: nvidia-smi -q -d PCIE; sudo lspci -vv -s BUS-ID | grep LnkSta",
        "Shut down, reseat the card or its riser, start again.",
        "Still narrow or slow: open a hardware case with this run folder.",
    ),
    **READ,
)
def test_the_link_is_as_wide_and_fast_as_it_should_be(gpu, profile, evidence):
    load = sustained.sampled(gpu, profile)
    source = f"highest while it works; {load.samples.source}"
    lanes, fastest = load.samples.highest("link_width"), load.samples.highest("link_generation")
    width = evidence.record("PCIe lanes", lanes, unit="lane", source=source, ceiling=load.highest("link_width"))
    generation = evidence.record(
        "PCIe generation",
        fastest,
        unit="PCIe generation",
        source=source,
        ceiling=load.highest("link_generation"),
    )
    assert width >= profile.limit("link.width")
    assert generation >= profile.limit("link.generation")
