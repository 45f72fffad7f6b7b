"""The burn-in checks pass on a steady burn-in, and each of their comparisons fails alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import check_file
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles import profile as profiles
from dgxcert.workloads.burn_in import loop, together
from dgxcert.workloads.burn_in.log import Cycle, Summary
from dgxcert.workloads.burn_in.siblings import BurnIn

PROFILE = profiles.load("dgx-spark")
GPU = Device("cuda", 0, "NVIDIA GB10")
GOOD = Cycle(
    at=0.0,
    seconds=20.0,
    matmul=91.6,
    copy=230.0,
    training=50.0,
    wrong=0,
    product="aa",
    weights="bb",
    clock_mhz=1900.0,
    hottest=84.0,
    hot=0.02,
    capped=0.1,
)
CYCLES = 9
MINUTES = 3.0
OF_THE_WHOLE = ("interruptions", "pauses", "reboots", "error_counts", "highest_mhz")


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return check_file.load("gpu/test_burn_in")


def burnt(monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], times: int = 2) -> None:
    """Nine cycles, interrupted once and paused once; what is changed is so in the last ones, or of the whole."""
    whole = {name: changed[name] for name in OF_THE_WHOLE if name in changed}
    own = {name: value for name, value in changed.items() if name not in OF_THE_WHOLE}
    cycles = (*(GOOD,) * (CYCLES - times), *(replace(GOOD, **own),) * times)
    summary = Summary(cycles, **{"interruptions": 1, "pauses": 1, "error_counts": (1,) * CYCLES, **whole})
    monkeypatch.setattr(together, "run", lambda *_: BurnIn({"GPU 0": summary}))
    monkeypatch.setattr(loop, "finished", lambda *_: summary)


def judge(test: Callable[..., None], *fixtures: Any, fault: str | None) -> None:
    evidence = Recorder()
    if fault is None:
        test(*fixtures, evidence)
        assert evidence.compared
        assert not evidence.violated
        return
    with pytest.raises(AssertionError):
        test(*fixtures, evidence)
    assert [kept.name for kept, _ in evidence.violated] == [fault]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        ({"seconds": 40.0, "matmul": 95.0, "copy": 240.0, "training": 1.0, "hottest": 99.0}, None),
        ({"seconds": 19.0}, "time worked"),
        ({"wrong": 1}, "wrong values"),
        ({"product": "ab"}, "changed results"),
        ({"weights": "bc"}, "changed results"),
        ({"error_counts": (1, 1, 2)}, "new memory errors"),
        ({"matmul": 82.4}, "slowest matmul"),
        ({"copy": 206.0}, "slowest copy"),
        ({"matmul": 82.5, "copy": 207.1}, None),
    ],
)
def test_each_fault_of_a_burn_in_fails_alone(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], fault: str | None
) -> None:
    burnt(monkeypatch, changed)
    judge(check.test_all_devices_work_for_the_requested_time, GPU, PROFILE, MINUTES, Path("kept"), fault=fault)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        ({"seconds": 19.0}, "time worked"),
        ({"hottest": 87.5}, "highest temperature"),
        ({"hot": 0.4}, "slowed down for heat"),
    ],
)
def test_each_sign_of_heat_in_a_burn_in_fails_alone(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], fault: str | None
) -> None:
    burnt(monkeypatch, changed)
    judge(check.test_the_gpu_stays_cool_for_the_requested_time, GPU, PROFILE, MINUTES, Path("kept"), fault=fault)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        ({"seconds": 19.0}, "time worked"),
        ({"clock_mhz": 1899.0}, "SM clock of the slowest cycle"),
        ({"capped": 0.2}, "power capped"),
    ],
)
def test_each_sign_of_a_clock_that_fell_in_a_burn_in_fails_alone(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], fault: str | None
) -> None:
    burnt(monkeypatch, changed)
    judge(check.test_the_gpu_keeps_its_clock_for_the_requested_time, GPU, PROFILE, MINUTES, Path("kept"), fault=fault)


@pytest.mark.parametrize(("highest", "fault"), [(5000.0, None), (6000.0, "SM clock of the slowest cycle")])
def test_a_limit_of_the_highest_clock_is_compared_with_the_gpus_own(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, highest: float, fault: str | None
) -> None:
    burnt(monkeypatch, {"highest_mhz": highest})
    generic = profiles.load("generic-nvidia")
    judge(check.test_the_gpu_keeps_its_clock_for_the_requested_time, GPU, generic, MINUTES, Path("kept"), fault=fault)


def test_one_slow_cycle_of_many_passes(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    burnt(monkeypatch, {"matmul": 10.0, "copy": 10.0}, times=1)
    judge(check.test_all_devices_work_for_the_requested_time, GPU, PROFILE, MINUTES, Path("kept"), fault=None)


def test_wrong_values_fail_even_with_too_few_cycles(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    test = check.test_all_devices_work_for_the_requested_time
    for cycle, fault in ((replace(GOOD, wrong=1), "wrong values"), (GOOD, None)):
        few = Summary((cycle,) * 3)
        monkeypatch.setattr(together, "run", lambda *_, summary=few: BurnIn({"GPU 0": summary}))
        if fault:
            judge(test, GPU, PROFILE, 1.0, Path("kept"), fault=fault)
            continue
        with pytest.raises(Inconclusive, match="only 3 cycles"):
            test(GPU, PROFILE, 1.0, Path("kept"), Recorder())


@pytest.mark.parametrize(("changed", "times"), [({"reboots": 1}, 2), ({"unseen": "no answer"}, 1)])
def test_a_restart_or_a_silent_driver_is_inconclusive(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], times: int
) -> None:
    burnt(monkeypatch, {"seconds": GOOD.seconds, **changed}, times)
    with pytest.raises(Inconclusive):
        check.test_all_devices_work_for_the_requested_time(GPU, PROFILE, 2.0, Path("kept"), Recorder())


@pytest.mark.parametrize(
    ("changed", "fault", "named"),
    [
        ({}, None, "common cycles"),
        (
            {"product": "zz"},
            "differing results",
            "GPU 1: other product than its siblings in 9 cycles, first in cycle 1",
        ),
        ({"wrong": 1}, "wrong values", "GPU 1: 9"),
        ({"seconds": 19.0}, "time worked", "9 cycles of matmuls, copies and training steps on 3 devices"),
    ],
)
def test_the_gpu_that_differs_from_its_siblings_is_named(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], fault: str | None, named: str
) -> None:
    numbered = tuple(replace(GOOD, number=number) for number in range(1, CYCLES + 1))
    others = tuple(replace(cycle, **changed) for cycle in numbered)
    whole = BurnIn({f"GPU {index}": Summary(others if index == 1 else numbered) for index in range(3)})
    monkeypatch.setattr(together, "run", lambda *_: whole)
    evidence = Recorder()
    arguments = ((GPU,) * 3, PROFILE, MINUTES, Path("kept"), evidence)
    if fault is None:
        check.test_all_devices_work_for_the_requested_time(*arguments)
    else:
        with pytest.raises(AssertionError):
            check.test_all_devices_work_for_the_requested_time(*arguments)
    assert [kept.name for kept, _ in evidence.violated] == ([] if fault is None else [fault])
    assert any(named in kept.source for kept in evidence.kept)
    assert len(evidence.traces) == 3
