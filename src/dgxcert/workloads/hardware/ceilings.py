"""Ceilings: what this machine's own memory and multipliers reach in this run, so that any GPU can be held to itself."""

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.hardware import bandwidth, matmul
from dgxcert.workloads.hardware.rooflines import Peaks


def peaks(device: Device, profile: Profile, compute: str) -> Peaks:
    """The measured counterpart of `Peaks.of`: seconds the first time, free afterwards."""
    return Peaks(bandwidth.measured(device, profile), matmul.measured(device, profile, compute))


def grace(profile: Profile) -> float:
    """How far above it a model's rate may lie, as a factor; beyond, one of the two was measured wrongly.

    Raises Inconclusive where the profile does not say.
    """
    limit = profile.limit("ceiling.share")
    if limit.max is None:
        raise Inconclusive(f"limit {limit.name} has no max", f"Give limit {limit.name} a max in the profile.")
    return limit.max
