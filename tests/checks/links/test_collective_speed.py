"""A collective that is slower than its limit, or gives a wrong result, fails; a rank that is behind is named."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.judgement.rounds import Around
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive, Wrong
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.distributed import launch

CHECK = check_file.load("../benchmarks/test_collective_speed").test_a_collective_reaches_its_bus_bandwidth
H100 = profiles.load("dgx-h100")
GPUS = tuple(Device("cuda", index, "NVIDIA H100 80GB HBM3") for index in range(8))
SIZE = 2**30
LIMIT = H100.limit("collectives.all_reduce.nvls").min or 0.0


def said(share: float, **changed: Any) -> dict[str, Any]:
    """What a rank says of an all_reduce at this share of the limit."""
    seconds = SIZE * 1.75 / 1e9 / (LIMIT * share)
    return {
        "seconds": [seconds] * 8,
        "around": dataclasses.asdict(Around()),
        "own_s": 1e-4,
        "own_share": 0.0,
        "disturbance": "",
        "unknown": (),
        "wrong": 0,
        "bytes": SIZE,
        "swept": [[1024, 2e-5], [SIZE, seconds]],
        "algorithm": "nvls",
        "how": "SIMPLE on 16 channels, NCCL 2.27.7, over P2P/CUMEM; 24 coll channels",
    } | changed


def judged(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any]) -> Recorder:
    whole = (*answers, *[answers[0]] * (8 - len(answers)))
    monkeypatch.setattr(launch.Batch, "answer", lambda *arguments: whole)
    stats = SimpleNamespace(stats=SimpleNamespace(data=[]))
    benchmark = SimpleNamespace(pedantic=lambda call, given: call(*given), stats=stats, extra_info={})
    evidence = Recorder()
    try:
        CHECK(benchmark, GPUS, H100, evidence, "all_reduce")
    except (AssertionError, Wrong):
        assert evidence.violated
    else:
        assert evidence.compared
        assert not evidence.violated
    return evidence


def failed(evidence: Recorder) -> list[str]:
    return [quantity.name for quantity, _ in evidence.violated]


@pytest.mark.parametrize(("share", "names"), [(1.01, []), (0.99, ["all_reduce by nvls"])])
def test_the_limit_decides(monkeypatch: pytest.MonkeyPatch, share: float, names: list[str]) -> None:
    evidence = judged(monkeypatch, said(share))
    assert failed(evidence) == names
    assert evidence.advice == ()


def test_one_wrong_element_of_one_rank_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = judged(monkeypatch, said(1.01), said(1.01, wrong=1))
    assert failed(evidence) == ["wrong elements"]
    assert evidence.kept[0].source == "the last result of each rank; 1 on GPU 1"


def test_the_rank_that_the_others_wait_for_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = judged(monkeypatch, said(0.5), said(0.5, own_s=5e-3))
    kept = {each.name: each for each in evidence.kept}
    assert kept["rank behind the others"].value == "GPU 1"
    assert "GPU 1 5 ms" in kept["rank behind the others"].source
    assert evidence.advice[0].startswith("GPU 1 is behind: it works longer by itself than the others")


def test_an_algorithm_that_nobody_can_judge_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Inconclusive, match=r"no limit 'collectives.all_reduce.unknown'"):
        judged(monkeypatch, said(1.01, algorithm=""))
    with pytest.raises(Inconclusive):  # twice the links of a GPU is more than they can do
        judged(monkeypatch, said(2 * 2 * 450 / LIMIT))
