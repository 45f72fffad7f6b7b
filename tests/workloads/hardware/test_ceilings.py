"""Ceilings: measured peaks take the place of physical ones, and a profile without a max for them is inconclusive."""

import pytest

from dgxcert.judgement.limit import Bound
from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import bandwidth, ceilings, matmul

CPU = Device("cpu", 0, "CPU")
GPU = Device("cuda", 0, "NVIDIA GB10")


@pytest.mark.parametrize(
    ("device", "bf16", "fp32", "compute", "ceiling"),
    [
        (CPU, 90.0, 20.0, "fp32", 20.0),
        (CPU, 90.0, 20.0, "bf16", 90.0),
        (CPU, 0.002, 0.059, "bf16", 0.059),  # a CPU without bf16 instructions
        (GPU, 0.002, 0.059, "bf16", 0.002),  # a GPU that is so slow in bf16 is faulty
    ],
)
def test_the_matmul_ceiling_is_what_the_device_reaches(
    monkeypatch: pytest.MonkeyPatch,
    profile: Profile,
    device: Device,
    bf16: float,
    fp32: float,
    compute: str,
    ceiling: float,
) -> None:
    copy = Bound(value=200.0, unit="GB/s", source="copy, measured in this run")
    rates = {"bf16": bf16, "fp32": fp32}
    monkeypatch.setattr(bandwidth, "measured", lambda device, profile: copy)
    monkeypatch.setattr(
        matmul,
        "measured",
        lambda device, profile, precision: Bound(value=rates[precision], unit="TFLOP/s", source="measured"),
    )
    peaks = ceilings.peaks(device, profile, compute)
    assert peaks.bandwidth == copy
    assert peaks.matmul.value == ceiling


def test_grace_is_the_max_of_the_limit(profile: Profile) -> None:
    assert ceilings.grace(profile) == profile.limit("ceiling.share").max


def test_a_limit_without_a_max_is_inconclusive(monkeypatch: pytest.MonkeyPatch, profile: Profile) -> None:
    limit = profile.limit("ceiling.share").model_copy(update={"max": None, "min": 0.5})
    monkeypatch.setattr(Profile, "limit", lambda self, name: limit)
    with pytest.raises(Inconclusive, match=r"limit ceiling\.share has no max"):
        ceilings.grace(profile)
