"""Ceilings: the bandwidth and the matmul rate that this machine reaches in this run, by which any GPU can be judged."""

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import bandwidth, matmul
from dgxcert.workloads.hardware.rooflines import Peaks


def peaks(device: Device, profile: Profile, compute: str) -> Peaks:
    """The measured peaks of this machine, as `Peaks.of` gives the physical ones; measured once per process.

    On a CPU the matmul rate is the higher one of `compute` and fp32.
    """
    # A CPU without bf16 instructions multiplies bf16 matrices 30 times slower than fp32 ones (0.0019 and 0.059 TFLOP/s
    # on two cores of an EPYC), and torch's int4 kernel, which converts to fp32 as it goes, is not bound by that.
    precisions = dict.fromkeys((compute, "fp32")) if device.kind == "cpu" else (compute,)
    rates = [matmul.measured(device, profile, precision) for precision in precisions]
    return Peaks(bandwidth.measured(device, profile), max(rates, key=lambda rate: rate.value))


def grace(profile: Profile) -> float:
    """The largest rate of a model as a factor of its ceiling; above it one of the two was measured wrongly.

    Raises Inconclusive where limit `ceiling.share` of the profile has no max.
    """
    limit = profile.limit("ceiling.share")
    if limit.max is None:
        raise Inconclusive(f"limit {limit.name} has no max", f"Give limit {limit.name} a max in the profile.")
    return limit.max
