"""A collective is timed by the slowest rank up to its plateau, and its last result is compared; over gloo."""

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.distributed import collectives, launch
from dgxcert.workloads.distributed.speed import PAIRS
from dgxcert.workloads.distributed.task import Job

CPU = profiles.load("cpu")
pytestmark = pytest.mark.usefixtures("forked")


def settings(ranks: tuple[Device, ...], operation: str) -> dict[str, object]:
    batch = collectives._timed(ranks, CPU.workloads.collectives, CPU.workloads.timing)
    timing = {"warm_up_s": 0.1, "seconds": 0.2, "within": 0.5, "least_rounds": 6}
    return {**batch._jobs["all_reduce"].settings, "operation": operation, "largest_bytes": 2**16, "timing": timing}


def test_rounds_and_sizes_come_back_and_the_result_is_right(ranks: tuple[Device, ...]) -> None:
    said = launch.run("distributed.speed", ranks, settings(ranks, "reduce_scatter"), limit_s=120)
    assert [size for size, _ in said[0]["swept"]] == [1024, 8192, 65536]
    assert [each["wrong"] for each in said] == [0, 0]
    assert said[0]["algorithm"] == "gloo"
    rounds = collectives.rounds_of(ranks, said)
    assert len(rounds.seconds) >= 6
    assert rounds.disturbance is None


def test_each_pair_is_timed(ranks: tuple[Device, ...]) -> None:
    said = launch.run("distributed.speed", ranks, settings(ranks, PAIRS), limit_s=120)
    pairs = collectives.compare_pairs(ranks, said)
    assert (pairs.slowest, pairs.wrong) == (1.0, 0)
    assert pairs.source.startswith("rank 0 and rank 1, the slowest of 1 pairs")


SHORT = {"warm_up_s": 0.05, "seconds": 0.1, "within": 0.5, "least_rounds": 6}
SLOW = {"timing": SHORT, "largest_bytes": 2**13, "kind": "slow"}


def test_a_rank_that_dies_costs_the_operation_in_flight_and_no_other(
    ranks: tuple[Device, ...], planted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings(ranks, "broadcast") | {"timing": SHORT, "guilty": 1}
    names = ("all_gather", "broadcast", "sendrecv")
    faults = {"broadcast": "dies"}
    jobs = {name: Job("speed", {**given, "operation": name, "kind": faults.get(name, "")}) for name in names}
    launches, real = [], launch.in_turn
    monkeypatch.setattr(launch, "in_turn", lambda *a, **o: launches.append(len(a[0])) or real(*a, **o))
    batch = launch.Batch(ranks, jobs, {})
    assert len(batch.answer("all_gather", 60)[0]["seconds"]) >= 6
    with pytest.raises(Inconclusive, match=r"^rank 1 ended with exit code 9, last at: broadcast of 1024 bytes"):
        batch.answer("broadcast", 60)
    assert launches == [3]
    assert batch.answer("sendrecv", 60)[1]["wrong"] == 0
    assert launches == [3, 1]


@pytest.mark.catches("COLLECTIVE-SPEED", "one rank begins each operation late")
def test_a_rank_that_is_slow_by_itself_is_named(ranks: tuple[Device, ...], planted: None) -> None:
    for guilty in (0, 1):
        given = settings(ranks, "all_gather") | SLOW | {"guilty": guilty}
        found = collectives.behind(ranks, launch.run("speed", ranks, given, limit_s=60))
        assert found.name == f"rank {guilty}"
        assert found.remedy[0].startswith(f"rank {guilty} is behind: it works longer by itself than the others (median")


@pytest.mark.parametrize(
    ("own_s", "round_s", "name"),
    [
        ((1.0, 1.0, 1.51), 5.0, "rank 2"),
        ((1.0, 1.0, 1.49), 5.0, ""),
        ((1.51, 1.0, 1.0), 5.0, "rank 0"),
        ((1.0, 1.0, 1.51), 5.2, ""),
        ((1.0,), 0.1, ""),
    ],
)
def test_who_is_behind(own_s: tuple[float, ...], round_s: float, name: str) -> None:
    devices = tuple(Device("cpu", index, "CPU") for index in range(len(own_s)))
    found = collectives.behind(devices, [{"own_s": each, "seconds": [round_s] * 3} for each in own_s])
    assert (found.name, bool(found.remedy)) == (name, bool(name))


@pytest.mark.parametrize(
    ("name", "operation", "value"),
    [
        ("dgx-h100", "all_gather", 450),
        ("dgx-h100", "all_reduce", 900),
        ("l40s", "all_gather", 32),
        ("l40s", "all_reduce", 32),
        ("cpu", "all_reduce", 1700),
    ],
)
def test_a_rate_is_bounded_by_what_joins_the_gpus_and_not_by_their_memory(
    name: str, operation: str, value: float
) -> None:
    assert collectives.link_peak(profiles.load(name), operation).value == value


def test_without_a_peak_of_what_joins_the_gpus_nothing_is_judged() -> None:
    l40s = profiles.load("l40s")
    unknown = l40s.model_copy(update={"physical": {"memory_bandwidth": l40s.physical["memory_bandwidth"]}})
    with pytest.raises(Inconclusive, match="no physical peak 'host_link'"):
        collectives.link_peak(unknown, "sendrecv")
