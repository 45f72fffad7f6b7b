"""Fixtures of the tests of checks/course: a check to run, its device, and torch where a test needs it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.machine.identity import Machine
from dgxcert.probes.host import memory
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.workload_sizes import Distillation
from dgxcert.workloads import allocation


@pytest.fixture
def torch() -> ModuleType:
    """torch, for tests that plant a fault in it; those with planted measurements run without."""
    pytest.importorskip("transformers", reason="the workloads need transformers: make setup")
    module: ModuleType = pytest.importorskip("torch", reason="the workloads need torch: make setup")
    return module


@pytest.fixture
def cpu() -> Device:
    return Device("cpu", 0, "CPU")


@pytest.fixture
def machine() -> Machine:
    return Machine(hostname="spark-07", kernel="6.14", architecture="aarch64", cores=20, cpu="a CPU")


@pytest.fixture(scope="session")
def profile() -> Profile:
    """The cpu profile with smaller models."""
    cpu = profiles.load("cpu")
    sizes = {"hidden": 128, "heads": 4, "intermediate": 512, "teacher_layers": 8, "student_layers": 4}
    small = Distillation(**sizes, batch=8, length=64)
    return cpu.model_copy(update={"workloads": cpu.workloads.model_copy(update={"distillation": small})})


@pytest.fixture(scope="session")
def short(profile: Profile) -> Profile:
    """The same profile with a lab of so few steps that it learns little."""
    lab = profile.workloads.lab.model_copy(update={"steps": 8, "hidden": 32, "heads": 2, "length": 16})
    return profile.model_copy(update={"workloads": profile.workloads.model_copy(update={"lab": lab})})


@pytest.fixture(autouse=True)
def _enough_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "_available", lambda device: memory.Usable(64.0, "a test"))


@pytest.fixture
def evidence() -> Recorder:
    return Recorder()


@pytest.fixture
def passes(evidence: Recorder) -> Callable[..., Recorder]:
    """Run a check with some arguments, which must compare something and pass; returns its evidence."""

    def run(check: Callable[..., None], *arguments: Any) -> Recorder:
        check(*arguments, evidence)
        assert evidence.compared
        assert not evidence.violated
        return evidence

    return run


@pytest.fixture
def fails() -> Callable[..., Recorder]:
    """Run a check with some arguments, which must fail by the quantity `by` alone; returns its evidence."""

    def run(check: Callable[..., None], *arguments: Any, by: str) -> Recorder:
        evidence = Recorder()
        with pytest.raises(AssertionError):
            check(*arguments, evidence)
        assert [quantity.name for quantity, _ in evidence.violated] == [by]
        return evidence

    return run
