"""A collective is timed by the slowest rank up to its plateau, and its last result is compared; over gloo."""

from dgxcert.machine.device import Device
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.distributed import collectives, launch
from dgxcert.workloads.distributed.speed import PAIRS

CPU = profiles.load("cpu")


def settings(ranks: tuple[Device, ...], operation: str) -> dict[str, object]:
    given = collectives._settings(ranks, CPU, operation)
    timing = {"warm_up_s": 0.1, "seconds": 0.2, "within": 0.5, "least_rounds": 6}
    return given | {"largest_bytes": 2**16, "timing": timing}


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
