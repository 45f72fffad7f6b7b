"""Ceilings: measured peaks take the place of physical ones, and a profile without a max for them is inconclusive."""

import pytest

from dgxcert.judgement.limit import Bound
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import bandwidth, ceilings, matmul

CPU = Device("cpu", 0, "CPU")


def test_peaks_are_what_this_machine_reaches_in_the_precision(
    monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    copy = Bound(value=200.0, unit="GB/s", source="copy, measured in this run")
    rates = {"bf16": 90.0, "fp32": 20.0}
    monkeypatch.setattr(bandwidth, "measured", lambda device, profile: copy)
    monkeypatch.setattr(
        matmul,
        "measured",
        lambda device, profile, precision: Bound(value=rates[precision], unit="TFLOP/s", source="measured"),
    )
    peaks = ceilings.peaks(CPU, profile, "fp32")
    assert peaks.bandwidth == copy
    assert peaks.matmul.value == 20.0


def test_grace_is_the_max_of_the_limit(profile: Profile) -> None:
    assert ceilings.grace(profile) == profile.limit("ceiling.share").max


def test_a_limit_without_a_max_is_inconclusive(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    limit = profile.limit("ceiling.share").model_copy(update={"max": None, "min": 0.5})
    monkeypatch.setattr(Profile, "limit", lambda self, name: limit)
    with pytest.raises(Inconclusive, match=r"limit ceiling\.share has no max"):
        ceilings.grace(profile)
