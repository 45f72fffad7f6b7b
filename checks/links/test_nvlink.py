"""NVLink: as many links are up as the machine has, at full speed, and they count no error while they work."""

from dgxcert import requirement
from dgxcert.probes.links import link_errors, nvlinks
from dgxcert.workloads.hardware import peer_copies


@requirement(
    "NVLINK-COUNT",
    title="Every NVLink of every GPU is up",
    why="A training on several GPUs waits for the slowest pair in every step: one dead link slows all of them.",
    remedy=nvlinks.DOWN,
    takes_s=4,
    stage="host",
)
def test_every_nvlink_is_up(machine, profile, evidence):
    links, wanted = nvlinks.read(machine), profile.limit("links.count")
    links.require_known(wanted)
    counted = link_errors.read(machine)
    evidence.record(link_errors.READ_AT, counted.at_s, unit="s", source="s after the boot")
    for index in counted.counters:
        name = link_errors.NAME.format(index)
        evidence.record(name, counted.text(index), source="NVML, counters since the driver was loaded")
    up = evidence.record("NVLinks up on the GPU with the fewest", links.fewest, unit="link", source=links.describe())
    behind = evidence.record("GPUs with fewer than others", len(links.behind), unit="GPU", source=links.describe())
    assert up >= wanted
    assert behind == 0


@requirement(
    "NVLINK-SPEED",
    title="Every NVLink runs at its full speed",
    why="Gradients of a training travel over all links at once: one at a lower rate holds up every step.",
    remedy=nvlinks.SLOW,
    takes_s=2.5,
    stage="host",
)
def test_every_nvlink_runs_at_its_full_speed(machine, profile, evidence):
    links = nvlinks.read(machine)
    links.require_speed(profile.limit("links.count"))
    slow = evidence.record("NVLinks slower than others", len(links.slow), unit="link", source=links.slow_source)
    assert slow == 0
    if links.slowest is not None:
        slowest = evidence.record("slowest NVLink", links.slowest, unit="GB/s", source=links.slow_source)
        assert slowest >= profile.limit("links.speed")
    links.require_all_speeds()


@requirement(
    "NVLINK-ERRORS",
    title="No NVLink counts an error while it works",
    why="A link that errs under load slows a training for seconds at a time, and ends it when it cannot recover.",
    remedy=link_errors.REMEDY,
    tier="standard",
    takes_s=20,
    budget_s=240,
)
def test_no_nvlink_counts_an_error_while_it_works(gpus, machine, profile, evidence):
    before = link_errors.read(machine)
    before.require_counters()
    if before.links:
        peer_copies.load(gpus, seconds=peer_copies.LOAD_S)
    after = link_errors.read(machine)
    grown = link_errors.growth(before, after)
    lost = evidence.record("NVLinks that went down", len(grown.lost), unit="link", source=grown.source)
    errors = evidence.record("new errors", grown.errors, unit="error", source=grown.source)
    replays = evidence.record("packets sent again, worst link", grown.replays, unit="error/s", source=grown.source)
    assert lost == 0
    assert errors <= profile.limit("links.errors")
    assert replays <= profile.limit("links.replays")
    if after.worst_rate is not None:
        source = "NVML, effective bit error rate of the worst link since it came up"
        rate = evidence.record("bit errors, worst link", after.worst_rate, unit="of bits", source=source)
        assert rate <= profile.limit("links.bit_errors")


@requirement(
    "NVLINK-ERRORS-AFTER",
    title="The work has left no error on an NVLink",
    why="A link that errs only when it is hot and busy ends a training that takes days, without a word about why.",
    remedy=link_errors.REMEDY,
    takes_s=3,
    stage="after",
)
def test_the_work_has_left_no_error_on_an_nvlink(machine, profile, computation, evidence):
    grown = link_errors.since_before_work(machine, computation)
    lost = evidence.record("NVLinks that went down", len(grown.lost), unit="link", source=grown.source)
    errors = evidence.record("new errors", grown.errors, unit="error", source=grown.source)
    replays = evidence.record("packets sent again, worst link", grown.replays, unit="error/s", source=grown.source)
    assert lost == 0
    assert errors <= profile.limit("links.errors")
    assert replays <= profile.limit("links.replays")
