"""A wrong copy and a wrong sum are caught, and the ceiling is the faster of the two."""

import pytest

torch = pytest.importorskip("torch", reason="the workloads need torch: make setup")

from dgxcert.judgement.evidence import Recorder
from dgxcert.machine.device import Device
from dgxcert.outcome import Wrong
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import bandwidth

CPU = Device("cpu", 0, "CPU")


def once(_: float) -> bool:
    """One round is enough."""
    return False


@pytest.mark.catches("MEMORY-BANDWIDTH[copy]", "one word of the last copy")
def test_a_copy_with_one_wrong_word_is_caught(profile: Profile, evidence: Recorder) -> None:
    workload = bandwidth.prepare_copy(CPU, profile)
    workload.run_rounds(once)
    workload.verify(evidence)
    workload._target[1000] += 1
    with pytest.raises(Wrong):
        workload.verify(Recorder())


@pytest.mark.catches("MEMORY-BANDWIDTH[read]", "one value left out of the sum")
def test_a_sum_is_exact_and_one_that_left_a_value_out_is_caught(profile: Profile, evidence: Recorder) -> None:
    workload = bandwidth.prepare(CPU, profile, "read")
    assert isinstance(workload, bandwidth.Read)
    workload.run_rounds(once)
    workload.verify(evidence)
    assert workload.work.amount == pytest.approx(4 * 2**20 / 1e9)
    assert float(workload._values[:100].abs().sum()) > 0
    workload._values[5] += 1
    with pytest.raises(Wrong):
        workload.verify(Recorder())


def test_the_ceiling_is_the_faster_of_reading_and_copying(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    seconds = iter([1.0, 1.0])  # a copy moves twice the bytes
    monkeypatch.setattr(bandwidth, "fastest_s", lambda run: next(seconds))
    bandwidth._measure.cache_clear()
    ceiling = bandwidth.measured(CPU, profile)
    bandwidth._measure.cache_clear()
    assert ceiling.value == pytest.approx(2 * 4 * 2**20 / 1e9)
    assert "copy being the faster" in ceiling.source
