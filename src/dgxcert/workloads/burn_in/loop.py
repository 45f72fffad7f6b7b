"""Burn-in: products, copies and training steps in turn, for as long as asked, each answer held against the first one.

It works on one GPU. On a machine with several each is loaded in turn, for as long as asked: what only all of them at
once bring out (the power supply, the heat of the whole box) it does not show.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from dgxcert.machine.device import Device
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu import health, nvml
from dgxcert.probes.gpu.sampler import sampling
from dgxcert.probes.gpu.samples import Samples
from dgxcert.profiles.profile import Profile
from dgxcert.workloads.burn_in import log as record
from dgxcert.workloads.burn_in import workload
from dgxcert.workloads.burn_in.log import BurnIn, Cycle
from dgxcert.workloads.burn_in.workload import Copies, Products, Training, Work
from dgxcert.workloads.hardware.sustained import WARM_UP_S

SHARES = {"matmul": 0.5, "copy": 0.2, "training": 0.3}
"""Of a cycle's time."""
PRECISION = {"cuda": "bf16", "cpu": "fp32"}
SAY_S = 60.0
MOST_SHARED = 10
"""Cycles in a row: who shares the GPU for so long, or a driver that is mute for so long, is not about to stop."""


def run(device: Device, profile: Profile, minutes: float, keeps: Path, say: Callable[[str], None]) -> BurnIn:
    """Work until the cycles on file make up so many minutes; `say` is told about once a minute how far it has come.

    Raises Inconclusive where the GPU is shared for long, or where what is on file was begun with anything else that
    determines the answers; Wrong where the first product is wrong.
    """
    path = _path(device, keeps)
    before, begun = record.load(path), _begun(device, profile)
    _require_same(before.begun or begun, begun)
    record.begin(path, begun, _errors(device), _highest_mhz(device))
    try:
        _work(path, _Worker(device, profile, path.with_suffix(".samples.jsonl")), minutes, say)
    except KeyboardInterrupt:
        record.pause(path)
        raise
    except Exception:
        record.load(path).right()  # what was wrong before it could no longer look is a finding all the same
        raise
    return record.load(path)


def kept(device: Device, keeps: Path, minutes: float) -> BurnIn:
    """What a burn-in of this device kept.

    Raises Wrong where it found anything wrong, also if something killed it afterwards; Inconclusive where it was cut
    short or has too few cycles.
    """
    return record.load(_path(device, keeps)).right().whole(minutes)


def _path(device: Device, keeps: Path) -> Path:
    return keeps / f"burn-in-{device.kind}{device.index}.jsonl"


def _begun(device: Device, profile: Profile) -> dict[str, Any]:
    """What determines the answers, so that another of these gives other bits on a machine that is well."""
    import torch

    sizes = profile.workloads
    return {
        "product": device.product,
        "precision": PRECISION[device.kind],
        "torch": str(torch.__version__),
        "matmul": sizes.matmul.size,
        "copy_mib": sizes.bandwidth.size_mib,
        "training": [workload.EDGE[device.kind], sizes.burn_in.steps],
        "threads": torch.get_num_threads() if device.kind == "cpu" else None,
    }


def _require_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [f"{name} {before.get(name)!r}, now {now[name]!r}" for name in now if before.get(name) != now[name]]
    if changed:
        raise Inconclusive(
            f"this burn-in was begun with {'; '.join(changed)}: its answers cannot be compared with earlier ones",
            "Begin a new one: make burn-in",
        )


def _errors(device: Device) -> int:
    return health.ecc_errors(device.index).uncorrected if device.kind == "cuda" else 0


def _highest_mhz(device: Device) -> float | None:
    if device.kind == "cpu":
        return None
    found = nvml.ask(device.index, "highest_clock").if_supported("highest_clock")
    return float(found) if found else None


def _work(path: Path, worker: "_Worker", minutes: float, say: Callable[[str], None]) -> None:
    found, said, in_a_row = record.load(path), 0.0, 0
    while found.minutes < minutes:
        cycle = worker.cycle()
        record.keep(path, cycle)
        found = replace(found, cycles=(*found.cycles, cycle))
        if time.monotonic() - said >= SAY_S or found.minutes >= minutes:
            said = time.monotonic()
            say(f"{found.minutes:.1f} of {minutes:g} min; {cycle.line}")
        in_a_row = 0 if cycle.counts else in_a_row + 1
        if in_a_row >= MOST_SHARED:
            mend = "End other work on this GPU" if cycle.shared else "See to it that the driver answers: nvidia-smi"
            raise Inconclusive(cycle.shared or cycle.unseen, f"{mend}; then burn in again.")


class _Worker:
    """The three kinds of work, prepared once."""

    def __init__(self, device: Device, profile: Profile, samples: Path) -> None:
        sizes, precision = profile.workloads.burn_in, PRECISION[device.kind]
        self._device, self._samples, self._cycle_s = device, samples, sizes.cycle_s
        self._products = Products(device, profile, precision)
        self._copies = Copies(device, profile)
        self._training = Training(device, precision, sizes.steps)
        workload.rate(self._products, min(WARM_UP_S, sizes.cycle_s))

    def cycle(self) -> Cycle:
        """One turn of all three; on a GPU sampled meanwhile, and asked afterwards who else was there.

        What was computed is kept also where the driver falls silent: a wrong value is one however little else is known.
        """
        if self._device.kind == "cpu":
            return self._work()
        done = None
        try:
            with sampling(self._device.index, keep=self._samples) as samples:
                done = replace(self._work(), errors=None)
            done = replace(done, errors=_errors(self._device))
            done = replace(done, shared=self._device.other_processes() or "")
            return _seen(done, samples())
        except Inconclusive as unknown:
            if done is None:
                raise
            return replace(done, unseen=unknown.problem)

    def _work(self) -> Cycle:
        began = time.monotonic()
        done = Cycle(
            at=time.time(),
            seconds=0.0,
            matmul=self._rate(self._products, "matmul"),
            copy=self._rate(self._copies, "copy"),
            training=self._rate(self._training, "training"),
            wrong=self._products.wrong() + self._copies.wrong() + self._training.wrong(),
            product=self._products.fingerprint(),
            weights=self._training.fingerprint(),
        )
        return replace(done, at=time.time(), seconds=time.monotonic() - began)

    def _rate(self, work: Work, share: str) -> float:
        """Work done per second, for this share of the cycle."""
        return workload.rate(work, SHARES[share] * self._cycle_s)


def _seen(done: Cycle, samples: Samples) -> Cycle:
    """The cycle with what was sampled meanwhile."""
    clock, hottest = samples.median("clock"), samples.highest("temperature")
    power = samples.median("power_w") if samples.has("power_w") else None
    return replace(done, clock_mhz=clock, hottest=hottest, hot=samples.hot, capped=samples.power_capped, power_w=power)
