"""Ceilings: what this machine's own memory and multipliers reach in this run, so that any GPU can be held to itself."""

from dgxcert.device import Device
from dgxcert.profile import Profile
from dgxcert.workloads import bandwidth, matmul
from dgxcert.workloads.roofline import Peaks


def peaks(device: Device, profile: Profile, compute: str) -> Peaks:
    """The measured counterpart of `Peaks.of`: seconds the first time, free afterwards."""
    return Peaks(bandwidth.measured(device, profile), matmul.measured(device, profile, compute))
