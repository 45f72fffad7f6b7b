"""SAME-BITS passes where all GPUs of a kind agree, and fails where one does not repeat itself or differs."""

import check_file
import pytest
from suites.judged import judge

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.workloads.correctness.same_bits import ranks
from dgxcert.workloads.correctness.same_bits.answers import Answer, Answers

CHECK = check_file.load("gpu/test_same_bits").test_all_gpus_of_a_kind_compute_the_same_bits
GPUS = tuple(Device("cuda", index, "NVIDIA H200") for index in range(3))
CPUS = tuple(Device("cpu", index, "CPU", margin_gib=0.1) for index in range(2))


def computed(*given: Answer, kinds: tuple[str, ...] = ("H200",) * 3) -> Answers:
    names = [f"GPU {index}" for index in range(3)]
    return Answers(dict(zip(names, kinds, strict=True)), {"a product": dict(zip(names, given, strict=True))})


SAME = Answer("aa")


@pytest.mark.parametrize(
    ("last", "fault", "named"),
    [
        (SAME, None, ""),
        (Answer("bb"), "results that differ within a kind", "GPU 2: a product"),
        (Answer("aa", unrepeated=1), "results that a device did not repeat", "GPU 2: a product"),
    ],
)
def test_the_gpu_that_differs_is_named(
    monkeypatch: pytest.MonkeyPatch, last: Answer, fault: str | None, named: str
) -> None:
    monkeypatch.setattr(ranks, "run", lambda _: computed(SAME, SAME, last))
    evidence = judge(CHECK, GPUS, fault=fault)
    assert named in "; ".join(each.source for each in evidence.kept[1:])
    assert [bool(named)] == [any("GPU 2" in step for step in evidence.advice)]


def test_gpus_that_are_all_different_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "run", lambda _: computed(SAME, SAME, SAME, kinds=("H200", "H100", "L40S")))
    with pytest.raises(Inconclusive, match="no two GPUs are of one kind"):
        judge(CHECK, GPUS, fault=None)


def test_two_processes_on_this_cpu_compute_the_same_bits() -> None:
    pytest.importorskip("torch", reason="the workloads need torch: make setup")
    evidence = judge(CHECK, CPUS, fault=None)
    assert evidence.kept[0].value == 2
