"""A collective that is wrong in any way fails; ranks that agree and are where they should be pass."""

from typing import Any

import check_file
import pytest
from suites.judged import judge

from dgxcert.judgement.limit import Limit
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Gpu, Machine
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.distributed import launch

CHECK = check_file.load("links/test_collectives").test_collectives_of_all_gpus_are_right
H200 = profiles.load("h200")
GPUS = tuple(Device("cuda", index, "NVIDIA H200") for index in range(3))
MACHINE = Machine(
    hostname="dgx",
    kernel="6.11",
    architecture="x86_64",
    cores=2,
    gpus=tuple(
        Gpu(index=index, product="NVIDIA H200", uuid=f"GPU-{index}", compute_capability="9.0") for index in range(3)
    ),
)


def said(index: int, **changed: Any) -> dict[str, Any]:
    right = {"device": f"GPU-{index}", "findings": [], "wrong": 0, "compared": 100, "bits": "abc"}
    return right | {"bf16": {"all_reduce": 0.9, "reduce_scatter": 0.8}} | changed


FINDING = {"operation": "all_gather", "count": 1023, "text": "GPU 1 got in run 3: 1 of 1023 elements are wrong"}


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        ({"bf16": {"all_reduce": 1.05}}, None),
        ({"bf16": {"all_reduce": 1.06}}, "error of sums in bf16"),
        ({"device": "GPU-0"}, "ranks on another device"),
        ({"wrong": 1, "findings": [FINDING]}, "wrong blocks"),
        ({"bits": "abd"}, "ranks with other bits"),
    ],
)
def test_what_one_rank_says_decides(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], fault: str | None
) -> None:
    answers = (said(0), said(1, **changed), said(2))
    monkeypatch.setattr(launch.Batch, "answer", lambda *arguments: answers)
    judge(CHECK, GPUS, MACHINE, H200, fault=fault)


def test_the_guilty_rank_is_named_in_the_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        launch.Batch,
        "answer",
        lambda *arguments: (said(0), said(1, device="GPU-0", bits="b", wrong=1, findings=[FINDING]), said(2)),
    )
    from dgxcert.judgement.evidence import Recorder

    evidence = Recorder()
    with pytest.raises(AssertionError):
        CHECK(GPUS, MACHINE, H200, evidence)
    sources = {kept.name: kept.source for kept in evidence.kept}
    assert sources["ranks on another device"] == "GPU 1 works on GPU 0"
    assert sources["wrong blocks"].endswith(
        "all_gather of 1023 integers: GPU 1 got in run 3: 1 of 1023 elements are wrong"
    )
    assert sources["ranks with other bits"] == "all_reduce in bf16, its bits on every rank: GPU 1"


SLOWEST = Limit(name="collectives.slowest", min=0.8, unit="of median", source="a test")
PAIRS = check_file.load("links/test_collectives").test_every_pair_of_gpus_is_as_fast_as_the_others


@pytest.mark.parametrize(
    ("seconds", "wrong", "fault"),
    [(1.0, 0, None), (1.25, 0, None), (1.3, 0, "slowest pair"), (1.0, 1, "wrong elements")],
)
def test_one_slow_pair_fails(monkeypatch: pytest.MonkeyPatch, seconds: float, wrong: int, fault: str | None) -> None:
    times = {"pairs": [[0, 1, 1.0], [0, 2, seconds], [1, 2, 1.0]], "wrong": 0}
    monkeypatch.setattr(launch.Batch, "answer", lambda *arguments: (times, times | {"wrong": wrong}, times))
    strict = H200.model_copy(update={"limits": H200.limits | {"collectives.slowest": SLOWEST}})
    evidence = judge(PAIRS, GPUS, strict, fault=fault)
    if seconds > 1:
        assert any("GPU 0 and GPU 2, the slowest of 3 pairs" in kept.source for kept in evidence.kept) or fault
