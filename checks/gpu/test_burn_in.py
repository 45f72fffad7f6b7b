"""Burn-in: for as long as asked, every answer stays the same, and the machine neither slows down nor overheats.

Each GPU of a machine is loaded in turn, not all of them at once.
"""

from dgxcert import requirement
from dgxcert.workloads.burn_in import loop


@requirement(
    "BURN-IN",
    why="A training that runs for a week meets what ten minutes do not: heat, a weak power supply, a bit that flips. "
    "Each GPU is loaded in turn: what only all of them at once bring out, this does not show.",
    remedy=(
        "Look when it began: kept/burn-in-*.jsonl in the run folder has every cycle, *.samples.jsonl every sample.",
        "Slower and hotter: see BURN-IN-THERMAL. Slower and cool: see BURN-IN-CLOCK and GPU-POWER.",
        "Wrong values or results: run it again. Wrong again: take the machine out of service, open a hardware case.",
        "`sudo dmesg | grep -iE 'nvrm|xid'` shows what the driver saw in the meantime.",
    ),
    tier="burn-in",
    takes_s=60,
    budget_s=900,
    resumes=True,
)
def test_the_device_works_for_as_long_as_asked(device, profile, minutes, keeps, evidence):
    found = loop.run(device, profile, minutes, keeps, evidence.say)
    evidence.watched(found.trace(device.index))
    worked = evidence.record("time worked", found.minutes, unit="min", source=found.says)
    asked = evidence.record("time asked", minutes, unit="min", source="--minutes")
    evidence.record("shared cycles", found.shared, source="the driver's list of processes; they do not count")
    evidence.record("pauses", found.pauses, source="beginnings after Ctrl-C")
    evidence.record("interruptions", found.interruptions, source="beginnings after anything else")
    evidence.record("restarts of the machine", found.restarts, source="boot_id of each interruption")
    evidence.record("cycles not seen", found.unseen, source="the driver did not answer; they do not count")
    wrong = evidence.record("wrong values", found.wrong_values, source="every answer, compared on the device")
    other = evidence.record("other results than at first", found.others, source="SHA-256 of the last of each cycle")
    errors = evidence.record("new memory errors", found.new_errors, unit="error", source="NVML")
    assert wrong == 0
    assert other == 0
    assert errors == 0
    assert worked >= asked
    found.seen()
    source = f"the slowest three cycles in a row, or all of them, over the first three; {found.says}"
    matmul = evidence.record("slowest products", found.steadiness("matmul"), unit="of start", source=source)
    copies = evidence.record("slowest copies", found.steadiness("copy"), unit="of start", source=source)
    assert matmul >= profile.limit("burn_in.steadiness")
    assert copies >= profile.limit("burn_in.steadiness")


@requirement(
    "BURN-IN-THERMAL",
    why="A machine that stays cool for ten minutes may not for ten hours, with the room warm and the filters full.",
    remedy=(
        "Look when it became hot: kept/burn-in-*.jsonl in the run folder has every cycle.",
        "Give it air: nothing on or behind the machine, filters clean, the room below 30 °C; then burn in again.",
        "Still hot in a cool room: open a hardware case with this run folder.",
    ),
    tier="burn-in",
    takes_s=1,
)
def test_the_gpu_stays_cool_for_as_long_as_asked(gpu, profile, minutes, keeps, evidence):
    found = loop.kept(gpu, keeps, minutes)
    worked = evidence.record("time worked", found.minutes, unit="min", source=found.says)
    asked = evidence.record("time asked", minutes, unit="min", source="--minutes")
    hottest = evidence.record("highest temperature", found.highest("hottest"), unit="°C", source=found.says)
    slowed = evidence.record("slowed down for heat", found.mean("hot"), unit="of time", source=found.says)
    assert worked >= asked
    assert hottest <= profile.limit("temperature.under_load")
    assert slowed <= profile.limit("slowdown.thermal")


@requirement(
    "BURN-IN-CLOCK",
    why="A GPU whose clock falls or whose power is capped after hours trains slower than its first minutes promised.",
    remedy=(
        "Look when it fell: kept/burn-in-*.jsonl in the run folder has the clock of every cycle.",
        "Hot at that time: see BURN-IN-THERMAL. Low from the start: see GPU-CLOCK-UNDER-LOAD.",
        "Capped after days of uptime: sudo reboot; then burn in again. A Spark: its own power supply and outlet.",
        "Still low or capped after a cold start: open a hardware case with this run folder.",
    ),
    tier="burn-in",
    takes_s=1,
)
def test_the_gpu_keeps_its_clock_for_as_long_as_asked(gpu, profile, minutes, keeps, evidence):
    found = loop.kept(gpu, keeps, minutes)
    worked = evidence.record("time worked", found.minutes, unit="min", source=found.says)
    asked = evidence.record("time asked", minutes, unit="min", source="--minutes")
    lowest, highest = found.lowest("clock_mhz"), found.highest_clock
    source = f"median of the lowest cycle; {found.says}"
    clock = evidence.record("SM clock of the slowest cycle", lowest, unit="MHz", source=source, ceiling=highest)
    capped = evidence.record("power capped", found.mean("capped"), unit="of time", source=found.says)
    assert worked >= asked
    assert clock >= profile.limit("clock.under_load")
    assert capped <= profile.limit("slowdown.power_cap")
