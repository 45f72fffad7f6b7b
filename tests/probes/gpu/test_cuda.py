"""CUDA by torch: GPUs that the environment hides are inconclusive, and versions compare as numbers."""

import sys
from types import SimpleNamespace

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import cuda


@pytest.mark.parametrize("hidden", ["0", "", "-1", "GPU-8f6b"])
def test_gpus_that_the_environment_hides_are_inconclusive(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setitem(sys.modules, "torch", None)  # it must not even be imported
    with pytest.raises(Inconclusive, match=f"CUDA_VISIBLE_DEVICES is set to '{hidden}'"):
        cuda.read()


@pytest.mark.parametrize(("version", "build"), [("13.0", "CUDA 13.0"), (None, "CUDA none")])
def test_cuda_is_what_torch_reports(monkeypatch: pytest.MonkeyPatch, version: str | None, build: str) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    torch_cuda = SimpleNamespace(
        is_available=lambda: version is not None, device_count=lambda: 3, get_device_name=lambda _: "NVIDIA H200"
    )
    torch = SimpleNamespace(__version__="2.10", version=SimpleNamespace(cuda=version), cuda=torch_cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)
    count = 3 if version else 0
    assert cuda.read() == cuda.Cuda(version is not None, count, f"torch 2.10, built for {build}", version)


def test_a_display_adapter_is_no_gpu_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    products = ["NVIDIA A100-SXM4-80GB", "NVIDIA DGX Display", "NVIDIA A100-SXM4-80GB"]
    torch_cuda = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: len(products), get_device_name=products.__getitem__
    )
    torch = SimpleNamespace(__version__="2.10", version=SimpleNamespace(cuda="13.0"), cuda=torch_cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert cuda.read().count == 2


def test_the_major_version_of_cuda_is_a_number() -> None:
    """13.1 needs the same driver branch as 13.0. As strings, `9` would be above `13`."""
    assert [cuda.Cuda(True, 1, "torch 2.10", version).major for version in ("13.0", "13.1", "9.2")] == [13, 13, 9]
    with pytest.raises(Inconclusive, match="built for CUDA none: there is no CUDA version that a driver could support"):
        _ = cuda.Cuda(False, 0, "torch 2.10, built for CUDA none").major


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized\nmore", "fabricmanager"),
        ("CUDA driver initialization failed, you might not have a CUDA gpu.", "nvidia-modprobe"),
        ("No CUDA GPUs are available", "nvidia-ctk cdi"),
        ("something new", ""),
    ],
)
def test_what_torch_says_chooses_the_remedy(monkeypatch: pytest.MonkeyPatch, message: str, word: str) -> None:
    """`is_available` is False without a reason; only `init` says why."""

    def init() -> None:
        raise RuntimeError(message)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    torch_cuda = SimpleNamespace(is_available=lambda: False, init=init)
    torch = SimpleNamespace(__version__="2.10", version=SimpleNamespace(cuda="13.0"), cuda=torch_cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = cuda.read()
    assert found.source == f"torch 2.10, built for CUDA 13.0: {message.partition(chr(10))[0]}"
    assert word in " ".join(found.remedy)
    assert bool(found.remedy) == bool(word)
