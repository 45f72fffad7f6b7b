"""Ceilings: the bandwidth and the matmul rate that this machine reaches in this run, by which any GPU can be judged."""

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import bandwidth, matmul
from dgxcert.workloads.hardware.rooflines import Peaks


def peaks(device: Device, profile: Profile, compute: str) -> Peaks:
    """The measured peaks of this machine, as `Peaks.of` gives the physical ones; measured once per process."""
    return Peaks(bandwidth.measured(device, profile), matmul.measured(device, profile, compute))


def grace(profile: Profile) -> float:
    """The largest rate of a model as a factor of its ceiling; above it one of the two was measured wrongly.

    Raises Inconclusive where limit `ceiling.share` of the profile has no max.
    """
    limit = profile.limit("ceiling.share")
    if limit.max is None:
        raise Inconclusive(f"limit {limit.name} has no max", f"Give limit {limit.name} a max in the profile.")
    return limit.max
