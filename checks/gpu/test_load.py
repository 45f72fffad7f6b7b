"""GPU under load: it reaches and holds its working clock, stays cool, and is limited by neither power nor PCIe link.

One sustained bf16 matmul load is sampled once for all of these.
"""

from dgxcert import requirement
from dgxcert.machine.trait import Trait
from dgxcert.probes.gpu import health
from dgxcert.probes.host.hardware import sensors
from dgxcert.workloads.hardware import sustained

LOADS = {"takes_s": 12, "budget_s": 240, "tier": "standard"}
READS = {"budget_s": 240, "tier": "standard"}


@requirement(
    "GPU-CLOCK-UNDER-LOAD",
    title="The GPU reaches its working clock under load",
    why="A Spark stuck in its low-power state trains and generates at a third of its speed, and reports no throttling. "
    "A clock lock left behind costs up to as much. A GPU that errs at its working clock spoils what it computes.",
    remedy=sustained.STUCK,
    **LOADS,
)
def test_the_gpu_reaches_its_working_clock_under_load(gpu, profile, evidence):
    load = sustained.measured(gpu, profile)
    evidence.keep_trace(load.samples.trace(gpu.index))
    evidence.advise(*load.remedy)
    evidence.record("sampling", load.samples.cpu_share, unit="of a core", source=load.samples.source)
    evidence.record("utilisation", load.samples.median("utilization"), unit="%", source=load.samples.source)
    median, highest = load.samples.median("clock"), load.highest("clock")
    clock = evidence.record("SM clock under load", median, unit="MHz", source=load.samples.source, ceiling=highest)
    source = f"the last products of {load.rounds} rounds, bit for bit"
    differing = evidence.record("values that differ from the first product", load.differing, source=source)
    assert differing == 0
    assert clock >= profile.limit("clock.under_load")
    free = evidence.record("no lock holds the clock", load.clock_is_free, source=load.clock_source)
    assert free.holds()


@requirement(
    "GPU-STEADY",
    title="The clock does not fall while the GPU works",
    why="A clock that falls while the GPU works makes every long training slower than its first minute promised.",
    remedy=(
        "Watch clock and temperature under load for some minutes: nvidia-smi dmon -s pc",
        "See GPU-THERMAL if the temperature rises while the clock falls, GPU-CLOCK-UNDER-LOAD if the GPU stays cool.",
        "Run a longer load: make burn-in ONLY=BURN-IN MINUTES=30",
    ),
    **READS,
)
def test_the_clock_does_not_fall_while_the_gpu_works(gpu, profile, evidence):
    load = sustained.measured(gpu, profile)
    steadiness = evidence.record(
        "clock at the end of the load", load.samples.steadiness("clock"), unit="of start", source=load.samples.source
    )
    assert steadiness >= profile.limit("clock.steadiness")


@requirement(
    "GPU-THERMAL",
    title="The GPU stays cool under load",
    why="A hot GPU lowers its clock: long trainings take longer, and in the end the machine shuts down.",
    remedy=(
        "Read the temperatures: nvidia-smi -q -d TEMPERATURE,PERFORMANCE; on a Spark also: sensors",
        "Give it air: clear the space around it, clean the filters, keep the room below 30 °C; then run this again.",
        "Check that the fans turn under load, and update the firmware: sudo fwupdmgr update",
        "Open a hardware case with this run folder if it is still hot in a cool room.",
    ),
    **READS,
)
def test_the_gpu_stays_cool_under_load(gpu, profile, evidence):
    samples = sustained.measured(gpu, profile).samples
    hottest = evidence.record("highest temperature", samples.highest("temperature"), unit="°C", source=samples.source)
    earlier = samples.earlier_s("thermal_software", "thermal_hardware")
    evidence.record("slowed down for heat before the load", earlier, unit="s", source=samples.source_of_the_past)
    slowed = evidence.record("slowed down for heat", samples.hot, unit="of time", source=samples.source_with_counters)
    assert hottest <= profile.limit("temperature.under_load")
    assert slowed <= profile.limit("slowdown.thermal")


@requirement(
    "FANS-TURN",
    title="The fans turn while the GPU is hot",
    why="A machine whose fans stand still under load slows down within minutes, and switches off in a long training.",
    remedy=sensors.FANS,
    **READS,
)
def test_the_fans_turn_while_the_gpu_is_hot(gpu, profile, computation, evidence):
    load = sustained.measured(gpu, profile)
    evidence.record("hottest part at the end of the load", load.board.hottest, source="hwmon and thermal zones")
    source = f"hwmon at the end of the load: {load.board.slowest_fan}; GPU: {load.heat}"
    hot = profile.limit("fan.hot")
    earlier = str(computation.before.get(("BOARD-TEMPERATURE", "fans that turn"), ""))
    stopped = evidence.record(
        "fans that stopped while it is hot", load.stopped_fans(hot, earlier), unit="fan", source=source
    )
    standing = evidence.record("fans that stand while it is hot", load.standing_fans(hot), unit="fan", source=source)
    assert stopped <= profile.limit("fan.stopped")
    assert standing <= profile.limit("fan.standing")


@requirement(
    "GPU-POWER",
    title="Neither a power cap nor a power brake slows the GPU under load",
    why="A GPU whose power is limited trains and generates slower than it could, often with no event reason to see.",
    remedy=(
        "Read power and the event counters under load: nvidia-smi -q -d POWER,PERFORMANCE",
        "Check the power supplies of a server if there is a power brake: sudo ipmitool sdr type 'Power Supply'",
        Trait.SPARK.only(
            "Use its own power supply on an outlet of its own: restart it after days of uptime, update its firmware."
        ),
        "Open a hardware case with this run folder if power is still capped after a cold start.",
    ),
    **READS,
)
def test_nothing_holds_the_gpus_power_back(gpu, profile, evidence):
    samples = sustained.measured(gpu, profile).samples
    evidence.record("power under load", samples.median("power_w"), unit="W", source=samples.source)
    earlier = samples.earlier_s("power_cap", "power_brake")
    evidence.record("power held back before the load", earlier, unit="s", source=samples.source_of_the_past)
    braked = evidence.record("power brake", samples.braked, unit="of time", source=samples.source_with_counters)
    capped = evidence.record("power capped", samples.power_capped, unit="of time", source=samples.source_with_counters)
    assert braked <= profile.limit("slowdown.power_brake")
    assert capped <= profile.limit("slowdown.power_cap")


@requirement(
    "GPU-POWER-LIMIT",
    title="The power limit that is requested is the default that the GPU ships with",
    why="A power limit that was lowered and forgotten slows every training and every generated token.",
    remedy=(
        "Read the requested limit and its default: nvidia-smi -q -d POWER",
        "Set the default of the first step again: sudo nvidia-smi -pl WATTS",
        "Find out what lowers it: systemctl list-units '*nvidia*'; crontab -l",
    ),
)
def test_the_power_limit_is_the_one_that_the_gpu_ships_with(gpu, profile, evidence):
    limit = health.power_limit(gpu.index)
    evidence.advise(*limit.remedy)
    evidence.record("enforced power limit", limit.enforced, unit="of requested", source=limit.enforced_source)
    share = evidence.record("power limit", limit.of_default, unit="of default", source=limit.source)
    assert share >= profile.limit("power.limit")


@requirement(
    "GPU-LINK",
    title="The PCIe link has its full width and generation under load",
    why="A slot or cable with half its lanes halves the speed at which models and batches reach the GPU.",
    remedy=(
        "Compare the link with that of another GPU: nvidia-smi -q -d PCIE; sudo lspci -vv -s BUS-ID | grep LnkSta",
        Trait.CARD.only("Shut down, reseat the card or its riser, and start again."),
        Trait.VIRTUAL.only("Ask who runs its host for the link there: a hypervisor shows another one."),
        "Open a hardware case with this run folder if the link is still narrow or slow.",
    ),
    **READS,
)
def test_the_link_is_as_wide_and_fast_as_it_should_be(gpu, profile, evidence):
    load = sustained.sampled(gpu, profile)
    # An idle GPU lowers its link generation to save power, so the highest reading under load counts.
    source = f"highest under load; {load.samples.source}"
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
