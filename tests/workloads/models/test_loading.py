"""Loading: the peak of memory is seen while it lasts, and a model that is loaded twice takes twice its size."""

from pathlib import Path
from typing import Any

import pytest

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles import profile as profiles
from dgxcert.workloads import fresh_process
from dgxcert.workloads.models import loading

LIMIT = profiles.load("cpu").limit("memory.loading").max or 0.0
CPU = Device("cpu", 0, "CPU")
ASKED = {"device": "cpu", "layers": 1}
MB = 10**6


def test_a_peak_that_is_over_is_seen() -> None:
    loading.give_back()  # as before every load: what earlier tests have freed would be used again
    with loading.Peak("cpu") as peak:
        held = bytearray(64 * MB)
        peak._see()
        del held
    assert 60 * MB < peak.bytes < 128 * MB


def test_memory_that_was_freed_before_hides_no_growth() -> None:
    freed = [bytearray(100_000) for _ in range(1000)]
    kept = bytearray(100_000)  # above the others, so that malloc keeps what is below it
    del freed
    loading.give_back()
    with loading.Peak("cpu") as peak:
        again = [bytearray(b"x" * 100_000) for _ in range(1000)]
    assert peak.bytes > 90 * MB
    assert len(kept) == len(again[0])


def test_weights_that_are_loaded_twice_take_twice_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="the workload needs transformers: make setup")
    healthy = loading.Loading(**loading.main(tmp_path / "healthy", ASKED))
    assert healthy.share < LIMIT
    assert healthy.weights_bytes == pytest.approx(67 * MB, rel=0.05)
    original = loading.load

    def copied(folder: Path, device: str) -> Any:
        model = original(folder, device)
        model.copies = [parameter.detach().clone() for parameter in model.parameters()]
        return model

    monkeypatch.setattr(loading, "load", copied)
    assert loading.Loading(**loading.main(tmp_path / "copied", ASKED)).share > LIMIT


@pytest.mark.parametrize(("peak", "seen"), [(89, False), (90, True), (210, True)])
def test_loading_without_growth_proves_nothing(monkeypatch: pytest.MonkeyPatch, peak: int, seen: bool) -> None:
    answer = {"weights_bytes": 100, "peak_bytes": peak, "mapped_bytes": 0, "device": "cpu"}
    monkeypatch.setattr(fresh_process, "run", lambda module, environment: answer)
    if seen:
        assert loading.measure(CPU, 1).share == peak / 100
        return
    with pytest.raises(Inconclusive, match="less than they take"):
        loading.measure(CPU, 1)
