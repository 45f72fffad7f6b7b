"""Burn-in: for the requested time, every result stays the same, and the machine neither slows down nor overheats.

The GPUs of a machine are loaded all at once, and compared with each other in each cycle.
"""

from dgxcert import requirement
from dgxcert.workloads.burn_in import loop, together


@requirement(
    "BURN-IN",
    title="All devices work for the requested time, always correctly, and stay fast",
    why="A training that runs for a week meets what ten minutes do not: heat, a weak power supply, a flipped bit. "
    "Several GPUs work at the same time, as in training, and must give the same results as each other.",
    remedy=(
        "Find out when it began: kept/burn-in-*.jsonl in the run folder has every cycle, *.samples.jsonl every sample.",
        "See BURN-IN-THERMAL if it became slower and hotter, BURN-IN-CLOCK and GPU-POWER if it stayed cool.",
        "Run it again after wrong values or results. If they return, take the machine out of service and open a case.",
        "Read what the driver recorded in the meantime: sudo dmesg -T | grep -iE 'nvrm|xid'",
    ),
    tier="burn-in",
    takes_s=60,
    budget_s=900,
    resumes=True,
)
def test_all_devices_work_for_the_requested_time(devices, profile, minutes, keeps, evidence):
    burn_in = together.run(devices, profile, minutes, keeps, evidence.say)
    evidence.keep_trace(*burn_in.traces)
    worked = evidence.record("time worked", burn_in.minutes, unit="min", source=burn_in.source)
    requested = evidence.record("requested time", minutes, unit="min", source="--minutes")
    source = "the driver's list of processes; these cycles do not count"
    source = burn_in.each("shared_cycles", source)
    evidence.record("shared cycles", burn_in.total("shared_cycles"), source=source)
    evidence.record("pauses", burn_in.most("pauses"), source="continued after Ctrl-C")
    evidence.record("interruptions", burn_in.most("interruptions"), source="continued after anything else")
    evidence.record("restarts of the machine", burn_in.most("reboots"), source="boot_id of each interruption")
    source = burn_in.each("unobserved_cycles", "the driver did not answer; these cycles do not count")
    evidence.record("unobserved cycles", burn_in.total("unobserved_cycles"), source=source)
    source = burn_in.each("wrong_values", "every result, compared on the device")
    wrong = evidence.record("wrong values", burn_in.total("wrong_values"), source=source)
    source = burn_in.each("changed_results", "SHA-256 of the last result of each cycle")
    changed = evidence.record("changed results", burn_in.total("changed_results"), source=source)
    differing = evidence.record("differing results", len(burn_in.differences), source=burn_in.compared)
    source = burn_in.each("new_memory_errors", "NVML")
    errors = evidence.record("new memory errors", burn_in.total("new_memory_errors"), unit="error", source=source)
    assert wrong == 0
    assert changed == 0
    assert differing == 0
    assert errors == 0
    assert worked >= requested
    burn_in.require_observed()
    source = f"the slowest three cycles in a row, or all of them, divided by the first three; {burn_in.source}"
    of_matmul, of_copy = burn_in.slowest("matmul", source), burn_in.slowest("copy", source)
    matmul = evidence.record("slowest matmul", burn_in.steadiness("matmul"), unit="of start", source=of_matmul)
    copy = evidence.record("slowest copy", burn_in.steadiness("copy"), unit="of start", source=of_copy)
    assert matmul >= profile.limit("burn_in.steadiness")
    assert copy >= profile.limit("burn_in.steadiness")


@requirement(
    "BURN-IN-THERMAL",
    title="The GPU stays cool for the requested time",
    why="A machine that stays cool for ten minutes of training may not for ten hours, with dust in its filters.",
    remedy=(
        "Find out when it became hot: kept/burn-in-*.jsonl in the run folder has every cycle.",
        "Give it air: clear the space around it, clean the filters, keep the room below 30 °C; then burn in again.",
        "Open a hardware case with this run folder if it is still hot in a cool room.",
    ),
    tier="burn-in",
)
def test_the_gpu_stays_cool_for_the_requested_time(gpu, profile, minutes, keeps, evidence):
    burn_in = loop.finished(gpu, keeps, minutes)
    worked = evidence.record("time worked", burn_in.minutes, unit="min", source=burn_in.source)
    requested = evidence.record("requested time", minutes, unit="min", source="--minutes")
    hottest = evidence.record("highest temperature", burn_in.highest("hottest"), unit="°C", source=burn_in.source)
    slowed = evidence.record("slowed down for heat", burn_in.mean("hot"), unit="of time", source=burn_in.source)
    assert worked >= requested
    assert hottest <= profile.limit("temperature.under_load")
    assert slowed <= profile.limit("slowdown.thermal")


@requirement(
    "BURN-IN-CLOCK",
    title="The GPU keeps its clock for the requested time",
    why="A GPU whose clock falls or whose power is capped after hours trains slower than its first minutes suggest.",
    remedy=(
        "Find out when it fell: kept/burn-in-*.jsonl in the run folder has the clock of every cycle.",
        "See BURN-IN-THERMAL if it was hot at that time, GPU-CLOCK-UNDER-LOAD if the clock was low from the start.",
        "Restart after days of uptime (sudo reboot) and burn in again; use a Spark's own power supply and outlet.",
        "Open a hardware case with this run folder if it is still low or capped after a cold start.",
    ),
    tier="burn-in",
)
def test_the_gpu_keeps_its_clock_for_the_requested_time(gpu, profile, minutes, keeps, evidence):
    burn_in = loop.finished(gpu, keeps, minutes)
    worked = evidence.record("time worked", burn_in.minutes, unit="min", source=burn_in.source)
    requested = evidence.record("requested time", minutes, unit="min", source="--minutes")
    lowest, highest = burn_in.lowest("clock_mhz"), burn_in.highest_clock
    source = f"median of the lowest cycle; {burn_in.source}"
    clock = evidence.record("SM clock of the slowest cycle", lowest, unit="MHz", source=source, ceiling=highest)
    capped = evidence.record("power capped", burn_in.mean("capped"), unit="of time", source=burn_in.source)
    assert worked >= requested
    assert clock >= profile.limit("clock.under_load")
    assert capped <= profile.limit("slowdown.power_cap")
