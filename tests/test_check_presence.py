"""GPU-PRESENT and GPU-CUDA fail a machine that has lost a GPU, whatever the profile would be content with."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dgxcert import profile as profiles
from dgxcert.evidence import Recorder
from dgxcert.machine import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes import cuda, nvml, pci
from dgxcert.probes.cuda import Cuda
from dgxcert.probes.nvml import Driver

CHECK = Path(__file__).parents[1] / "checks" / "gpu" / "test_available.py"


@pytest.fixture
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("available", CHECK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def driver(count: int, lost: tuple[int, ...] = ()) -> Driver:
    gpus = tuple(Gpu(index=i, product="NVIDIA H200", uuid=f"GPU-{i}", compute_capability="9.0") for i in range(count))
    return Driver("580.95.05", "13.0", gpus, lost=lost)


@pytest.mark.parametrize(
    ("found", "on_bus", "fails"),
    [
        (driver(8), 8, False),
        (driver(7), 8, True),
        (driver(7, lost=(3,)), 7, True),
        (driver(0), 0, True),
        (driver(1), 1, False),
    ],
)
def test_every_gpu_of_the_bus_must_answer(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, found: Driver, on_bus: int, fails: bool
) -> None:
    monkeypatch.setattr(nvml, "read", lambda: found)
    monkeypatch.setattr(pci, "read", lambda: on_bus)
    evidence = Recorder()
    if fails:
        with pytest.raises(AssertionError):
            check.test_as_many_gpus_are_present_as_the_profile_expects(profiles.load("h200"), evidence)
        assert evidence.violated
    else:
        check.test_as_many_gpus_are_present_as_the_profile_expects(profiles.load("h200"), evidence)
        assert not evidence.violated


def test_a_bus_that_cannot_be_read_leaves_presence_open(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "read", lambda: driver(8))
    monkeypatch.setattr(pci, "read", lambda: None)
    with pytest.raises(Inconclusive):
        check.test_as_many_gpus_are_present_as_the_profile_expects(profiles.load("h200"), Recorder())


def test_torch_must_see_every_gpu_of_the_driver(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "read", lambda: driver(8))
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available=True, count=1, build="torch"))
    with pytest.raises(AssertionError):
        check.test_torch_sees_every_gpu_of_the_driver(profiles.load("h200"), Recorder())
