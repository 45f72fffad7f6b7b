"""GPU-PRESENT and GPU-CUDA fail a machine that has lost a GPU, whatever the profile would be content with."""

from types import ModuleType

import check_file
import paths
import pytest

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import cuda, nvml, pci
from dgxcert.probes.gpu.cuda import Cuda
from dgxcert.probes.gpu.nvml import Driver
from dgxcert.profiles import profile as profiles

CHECK = paths.CHECKS / "gpu" / "test_available.py"


@pytest.fixture
def check() -> ModuleType:
    return check_file.load("gpu/test_available")


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


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Inconclusive("the NVIDIA driver did not answer within 10 s"), "did not answer"),
        (Driver(None, None, (), mismatch="Driver/library version mismatch"), "only half updated: Driver/library"),
    ],
    ids=["hangs", "half updated"],
)
def test_a_driver_that_cannot_tell_leaves_presence_open(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, found: Driver | Inconclusive, says: str
) -> None:
    """A reboot mends it, and until then nobody knows how many GPUs there are: that is no missing GPU."""

    def read() -> Driver:
        if isinstance(found, Inconclusive):
            raise found
        return found

    monkeypatch.setattr(nvml, "read", read)
    evidence = Recorder()
    with pytest.raises(Inconclusive, match=says):
        check.test_as_many_gpus_are_present_as_the_profile_expects(profiles.load("h200"), evidence)
    assert not evidence.kept


def test_a_machine_without_a_driver_has_no_gpu(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "read", lambda: Driver(None, None, (), absence="NVML Shared Library Not Found"))
    monkeypatch.setattr(pci, "read", lambda: 8)
    evidence = Recorder()
    with pytest.raises(AssertionError):
        check.test_as_many_gpus_are_present_as_the_profile_expects(profiles.load("h200"), evidence)
    assert [kept.source for kept in evidence.kept] == ["NVML: NVML Shared Library Not Found"] * 2


def test_torch_must_see_every_gpu_of_the_driver(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "read", lambda: driver(8))
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available=True, count=1, build="torch"))
    with pytest.raises(AssertionError):
        check.test_torch_sees_every_gpu_of_the_driver(profiles.load("h200"), Recorder())


@pytest.mark.parametrize(
    ("served", "built", "outcome"),
    [("13.0", "13.0", None), ("13.1", "12.8", None), ("13.0", "13.2", None), ("12.8", "13.0", AssertionError)],
)
def test_the_driver_must_serve_the_cuda_of_torch(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, served: str, built: str, outcome: type[Exception] | None
) -> None:
    """Within one major version each serves the other."""
    monkeypatch.setattr(nvml, "read", lambda: Driver("580.95.05", served, driver(1).gpus))
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available=True, count=1, build="torch", version=built))
    evidence = Recorder()
    if outcome is None:
        check.test_the_driver_serves_the_cuda_that_torch_was_built_for(evidence)
        assert evidence.compared
        assert not evidence.violated
        return
    with pytest.raises(outcome):
        check.test_the_driver_serves_the_cuda_that_torch_was_built_for(evidence)
    assert evidence.violated


def test_a_torch_without_cuda_or_a_driver_that_names_none_leaves_it_open(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "read", lambda: driver(1))
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available=False, count=0, build="torch, built for CUDA none"))
    with pytest.raises(Inconclusive, match="there is no CUDA that a driver could serve"):
        check.test_the_driver_serves_the_cuda_that_torch_was_built_for(Recorder())
    monkeypatch.setattr(cuda, "read", lambda: Cuda(available=True, count=1, build="torch", version="13.0"))
    monkeypatch.setattr(nvml, "read", lambda: Driver("580.95.05", None, driver(1).gpus))
    with pytest.raises(Inconclusive, match="names no CUDA"):
        check.test_the_driver_serves_the_cuda_that_torch_was_built_for(Recorder())
