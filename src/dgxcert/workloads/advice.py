"""Advice: what comes first where a rate is too low, by what the GPU did meanwhile, and what a slow trait asks for."""

from dgxcert.judgement.evidence import Quantity, Recorder
from dgxcert.judgement.rounds import Rounds
from dgxcert.profiles.profile import Profile

WHEEL = (
    "Look at torch before the hardware, since the clock was normal: healthy GPUs are this slow where torch has no "
    "kernels for them. In `make shell`: "
    "python -c 'import torch as t; print(t.version.cuda, t.cuda.get_arch_list(), t.cuda.get_device_capability())'",
    "Use the torch of NVIDIA's image, or a wheel whose list has this GPU's sm_… (on a GB10 sm_120 or sm_121, from a "
    "build for CUDA 13), then run this again.",
)
BITSANDBYTES = (
    "Look at bitsandbytes before the hardware, since the clock was normal: in `make shell`, run "
    "`python -m bitsandbytes`, and read the result of STACK-VERSIONS: releases before 0.49 lack code for newer GPUs.",
)
MAPPING = (
    "mapped weights load slowly here, which is a trait of the platform and no defect. Load without mapping: "
    "`from_pretrained(..., disable_mmap=True)` since transformers 5, `load(open(file, 'rb').read())` with "
    "safetensors.torch, `--no-mmap` with llama.cpp"
)


def kernels_first(profile: Profile, rate: Quantity, limit: str, rounds: Rounds) -> tuple[str, ...]:
    """The steps that come before the hardware where a rate is far below its limit at a normal clock.

    Empty where the clock was low or unknown, the GPU slowed itself down, or the profile has no `advice.kernels`.
    """
    share, required = profile.limits.get("advice.kernels"), profile.limits.get(limit)
    if share is None or required is None or required.unit != rate.evidence.unit:
        return ()
    far_below = rate.number < (share.max or 0.0) * (required.min or 0.0)
    return WHEEL if far_below and works_normally(profile, rounds) else ()


def bitsandbytes_first(profile: Profile, precision: str, rounds: Rounds) -> tuple[str, ...]:
    """The step that comes before all others where layers in NF4 are slow at a normal clock; empty otherwise."""
    return BITSANDBYTES if precision == "nf4" and works_normally(profile, rounds) else ()


def works_normally(profile: Profile, rounds: Rounds) -> bool:
    """Whether the GPU held its working clock while rounds were timed, and was slowed by neither heat nor power."""
    working, clock_mhz = profile.limits.get("clock.under_load"), rounds.around.clock_mhz
    if working is None or working.min is None or working.unit != "MHz" or clock_mhz is None:
        return False
    return clock_mhz >= working.min and not rounds.around.slowed


def note_mapping(evidence: Recorder, profile: Profile, way: str, rate: Quantity) -> None:
    """Record an advice where files load more slowly than `advice.load.<way>`, which rejects no machine."""
    usual = profile.limits.get(f"advice.load.{way}")
    if usual is not None and usual.min is not None and rate.number < usual.min:
        source = f"below {usual.min:g} {usual.unit}: {usual.source}"
        evidence.record("advice", MAPPING, source=source)
