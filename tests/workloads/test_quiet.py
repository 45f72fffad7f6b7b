"""Before a benchmark others are waited for, not for long, and on a machine that is always busy not every time."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dgxcert.machine.device import Device
from dgxcert.machine.driver_query import Answers
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import nvml
from dgxcert.probes.host import processors
from dgxcert.workloads import quiet
from dgxcert.workloads.quiet import Patience

CPU = Device("cpu", 0, "CPU")
GPU = Device("cuda", 1, "NVIDIA H200")


class Machine:
    """Time that only passes while it is slept, and others that use a share of two CPUs during each sleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.busy_s = 100.0, 0.0
        self.shares: Iterator[float] = itertools.repeat(0.0)
        self.said: list[str] = []
        time = SimpleNamespace(monotonic=lambda: self.now, perf_counter=lambda: self.now, sleep=self.sleep)
        monkeypatch.setattr(quiet, "time", time)
        monkeypatch.setattr(processors, "read", lambda: processors.Processors(self.now, self.busy_s, 0.0, 2))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.busy_s += 2 * seconds * next(self.shares)

    def use(self, *shares: float, then: float = 0.0) -> None:
        """Others use these shares of the CPU at the next looks, and `then` at all others."""
        self.shares = itertools.chain(shares, itertools.repeat(then))

    def wait(self, patience: Patience, device: Device = CPU) -> float:
        """Seconds that a benchmark waits."""
        before = self.now
        patience.wait(device, self.said.append)
        return self.now - before


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_quiet_machine_costs_one_look(machine: Machine) -> None:
    machine.use(then=0.05)
    assert machine.wait(Patience()) == pytest.approx(quiet.LOOK_S)
    assert machine.said == []


def test_a_neighbour_that_goes_away_is_waited_for_and_named(machine: Machine) -> None:
    machine.use(*[0.6] * 50)
    assert machine.wait(Patience()) == pytest.approx(51 * quiet.LOOK_S)
    assert machine.said == ["waits up to 30 s, since other processes use 60% of the CPU"]


def test_a_short_wait_is_not_worth_a_line(machine: Machine) -> None:
    machine.use(0.6, 0.6)
    machine.wait(Patience())
    assert machine.said == []


def test_nobody_is_waited_for_longer_than_half_a_minute(machine: Machine) -> None:
    machine.use(then=0.6)
    assert machine.wait(Patience()) == pytest.approx(30, abs=0.5)
    assert machine.said[-1] == "other processes use 60% of the CPU for 30 s: measured anyway"


def test_on_a_machine_that_is_always_busy_31_benchmarks_wait_for_two(machine: Machine) -> None:
    machine.use(then=0.6)
    patience = Patience()
    waited = [machine.wait(patience) for _ in range(31)]
    assert sum(waited) == pytest.approx(2 * quiet.MOST_S + 29 * quiet.LOOK_S, abs=1)


def test_once_it_is_quiet_again_others_are_waited_for_again(machine: Machine) -> None:
    patience = Patience()
    machine.use(then=0.6)
    for _ in range(3):
        machine.wait(patience)
    machine.use()
    machine.wait(patience)
    machine.use(*[0.6] * 20)
    assert machine.wait(patience) > 3


def gpu(monkeypatch: pytest.MonkeyPatch, *looks: dict[str, Any] | Inconclusive) -> None:
    """Plants the driver's answers, the last one for all later questions."""
    answers = itertools.chain(looks, itertools.repeat(looks[-1]))

    def ask(index: int, *fields: str) -> Answers:
        answer = next(answers)
        if isinstance(answer, Inconclusive):
            raise answer
        return Answers(index, answer)

    monkeypatch.setattr(nvml, "ask", ask)


ALONE = {"utilization": 0, "compute_processes": [7]}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (ALONE | {"utilization": 97}, "GPU 1 is 97% busy"),
        (ALONE | {"compute_processes": [7, 8]}, "2 processes compute on GPU 1"),
    ],
)
def test_others_on_the_gpu_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, answer: dict[str, Any], why: str
) -> None:
    gpu(monkeypatch, *[answer] * 15, ALONE)
    assert machine.wait(Patience(), GPU) == pytest.approx(16 * quiet.LOOK_S)
    assert machine.said == [f"waits up to 30 s, since {why}"]


@pytest.mark.parametrize("answer", [ALONE, Inconclusive("the driver did not answer"), {}])
def test_a_driver_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, answer: dict[str, Any] | Inconclusive
) -> None:
    gpu(monkeypatch, answer)
    assert machine.wait(Patience(), GPU) == pytest.approx(quiet.LOOK_S)
