"""Lanes: what is about one GPU is measured beside the others, and what is about the machine alone, in order."""

import functools

import pytest
from suites.example import planned

from dgxcert.plan import lanes, selection, suite
from dgxcert.plan.options import Options
from dgxcert.plan.selection import Planned
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile

PROCESS_S = 3.0


def on(gpu: int, name: str, case: str = "", **about: object) -> Planned:
    return planned(f"{name}[{case}{'-' if case else ''}gpu{gpu}]", **about)


TWO = [
    planned("STACK-VERSIONS", group="stack"),
    on(0, "BF16-CORRECT"),
    on(1, "BF16-CORRECT"),
    planned("ALL-GPUS-LOAD"),
    on(0, "DECODE-SPEED", "int4", group="benchmarks"),
    on(1, "DECODE-SPEED", "int4", group="benchmarks"),
    on(0, "HOST-TRANSFER", group="benchmarks", alone=True),
    on(1, "HOST-TRANSFER", group="benchmarks", alone=True),
    planned("WEIGHTS-LOAD[mmap]", group="benchmarks"),
]


def keys(plan: list[Planned]) -> list[list[tuple[str, ...]]]:
    return [[lane.keys for lane in phase] for phase in lanes.phases(plan)]


def test_checks_alone_come_first_then_each_gpu_beside_the_others_and_what_is_timed_alone_last() -> None:
    assert keys(TWO) == [
        [("STACK-VERSIONS", "ALL-GPUS-LOAD")],
        [("BF16-CORRECT[gpu0]", "DECODE-SPEED[int4-gpu0]"), ("BF16-CORRECT[gpu1]", "DECODE-SPEED[int4-gpu1]")],
        [("HOST-TRANSFER[gpu0]", "HOST-TRANSFER[gpu1]", "WEIGHTS-LOAD[mmap]")],
    ]
    assert [[(lane.gpu, lane.name) for lane in phase] for phase in lanes.phases(TWO)] == [
        [(None, "")],
        [(0, "gpu0"), (1, "gpu1")],
        [(None, "")],
    ]


def test_one_gpu_is_one_phase_of_one_lane_in_the_order_of_the_plan() -> None:
    plan = [planned("STACK-VERSIONS"), planned("DECODE-SPEED[int4]", group="benchmarks"), planned("BF16-CORRECT")]
    assert keys(plan) == [[("STACK-VERSIONS", "DECODE-SPEED[int4]", "BF16-CORRECT")]]
    assert keys([]) == []


def test_one_gpu_that_is_left_of_several_has_the_machine_for_itself() -> None:
    plan = [planned("STACK-VERSIONS"), on(1, "BF16-CORRECT"), planned("ALL-GPUS-LOAD")]
    assert keys(plan) == [[tuple(entry.key for entry in plan)]]


@pytest.mark.parametrize("about", [{"stage": "host"}, {"stage": "after"}, {"group": "own"}, {"alone": True}])
def test_what_is_not_about_work_or_not_known_to_be_about_one_gpu_is_measured_alone(about: dict[str, object]) -> None:
    plan = [on(0, "GPU-ECC", **about), on(1, "GPU-ECC", **about)]
    assert keys(plan) == [[("GPU-ECC[gpu0]", "GPU-ECC[gpu1]")]]


def test_a_phase_takes_as_long_as_its_longest_lane() -> None:
    plan = [*TWO, on(1, "GPU-STEADY", takes_s=5.0)]
    seconds = functools.partial(lanes.elapsed_s, of=lambda entry: entry.takes_s)
    assert seconds(plan) == 2 * 10 + 25 + 3 * 10
    assert seconds([entry for entry in plan if lanes.gpu_of(entry.key) != 1]) == 60, "one by one"
    assert seconds([planned("DISK-SPACE", stage="host"), planned("OWN-DISK", group="own"), *plan]) == 75 + 20
    assert lanes.starts([planned("DISK-SPACE", stage="host"), *plan]) == 1 + 3


def of_several(profile: Profile, gpus: int) -> list[Planned]:
    catalogue = suite.collect(suite.root(), gpus)
    options = Options(profile=profile.name, runtime="docker")
    return [entry for entry in selection.make(catalogue, profile, options, gpus) if entry.runs]


@pytest.mark.parametrize("name", ["generic-nvidia", "h200"])
def test_the_standard_tier_on_eight_gpus_takes_at_most_half_as_long_again_as_on_one(name: str) -> None:
    profile = profiles.load(name)

    def seconds(gpus: int) -> float:
        plan = of_several(profile, gpus)
        return lanes.elapsed_s(plan, lambda entry: entry.takes_s) + PROCESS_S * lanes.starts(plan)

    one, eight = seconds(1), seconds(8)
    assert one < eight <= 1.5 * one
    one_by_one = sum(entry.takes_s for entry in of_several(profile, 8))
    assert one_by_one > 5 * one, "which they would take in turn"


def test_only_what_measures_what_the_gpus_share_is_measured_alone() -> None:
    plan = of_several(profiles.load("h200"), 2)
    alone = {entry.id for entry in plan if entry.alone}
    assert alone == {"HOST-TRANSFER"}
    disk = [entry for entry in plan if entry.id == "WEIGHTS-LOAD"]
    assert [entry.key for entry in disk] == ["WEIGHTS-LOAD[mmap]", "WEIGHTS-LOAD[read]"], "of which a machine has one"
    assert all(lane.gpu is None for phase in lanes.phases(disk) for lane in phase)
