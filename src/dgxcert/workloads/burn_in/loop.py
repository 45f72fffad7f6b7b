"""Burn-in loop: matmuls, copies and training steps in turn for the set minutes, each result compared with the first.

It works on one GPU. On a machine with several GPUs each is loaded in turn, for as many minutes: faults that need all
of them at once (the power supply, the heat of the whole machine) do not show.
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
from dgxcert.workloads.burn_in import log, workload
from dgxcert.workloads.burn_in.log import Cycle, Summary
from dgxcert.workloads.burn_in.workload import Copies, Matmuls, Training, Work
from dgxcert.workloads.hardware.sustained import WARM_UP_S

SHARES = {"matmul": 0.5, "copy": 0.2, "training": 0.3}
"""Shares of a cycle's time."""
PRECISION = {"cuda": "bf16", "cpu": "fp32"}
SAY_S = 60.0
"""Seconds between two lines on the terminal."""
MAX_NOT_COUNTED = 10
"""Consecutive cycles: other processes that stay for so long, or a driver that is silent for so long, will not stop."""


def run(device: Device, profile: Profile, minutes: float, keeps: Path, say: Callable[[str], None]) -> Summary:
    """Work until the cycles in the log make up so many minutes; about once a minute `say` gets a line of progress.

    Raises Inconclusive where other processes stay on the GPU, or where the log was started with other settings; Wrong
    where the first matmul is wrong.
    """
    path = _path(device, keeps)
    before, settings = _summary(path), _settings(device, profile)
    _require_same(before.settings or settings, settings)
    log.append_start(path, settings, _errors(device), _highest_mhz(device))
    try:
        _work(path, _Worker(device, profile, path.with_suffix(".samples.jsonl")), minutes, say)
    except KeyboardInterrupt:
        log.append_pause(path)
        raise
    except Exception:
        log.require_correct(_summary(path))  # a wrong value is a finding, also where a later cycle failed
        raise
    return _summary(path)


def finished(device: Device, keeps: Path, minutes: float) -> Summary:
    """The summary of a finished burn-in of this device.

    Raises Wrong where a result was wrong, also if something killed it afterwards; Inconclusive where it was cut
    short or has too few cycles.
    """
    summary = _summary(_path(device, keeps))
    log.require_correct(summary)
    log.require_duration(summary, minutes)
    return summary


def _summary(path: Path) -> Summary:
    return log.summarise(log.read_log(path))


def _path(device: Device, keeps: Path) -> Path:
    return keeps / f"burn-in-{device.kind}{device.index}.jsonl"


def _settings(device: Device, profile: Profile) -> dict[str, Any]:
    """The settings that determine the results: with others a healthy machine gives other bits."""
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


def _require_same(started: dict[str, Any], current: dict[str, Any]) -> None:
    changed = [
        f"{name} {started.get(name)!r}, now {value!r}" for name, value in current.items() if started.get(name) != value
    ]
    if changed:
        raise Inconclusive(
            f"this burn-in was started with {'; '.join(changed)}: its results cannot be compared with earlier ones",
            "Start a new burn-in: make burn-in",
        )


def _errors(device: Device) -> int:
    return health.ecc_errors(device.index).uncorrected if device.kind == "cuda" else 0


def _highest_mhz(device: Device) -> float | None:
    if device.kind == "cpu":
        return None
    clock_mhz = nvml.ask(device.index, "highest_clock").if_supported("highest_clock")
    return float(clock_mhz) if clock_mhz else None


def _work(path: Path, worker: "_Worker", minutes: float, say: Callable[[str], None]) -> None:
    summary, last_line, not_counted = _summary(path), 0.0, 0
    while summary.minutes < minutes:
        cycle = worker.cycle()
        log.append_cycle(path, cycle)
        summary = replace(summary, cycles=(*summary.cycles, cycle))
        if time.monotonic() - last_line >= SAY_S or summary.minutes >= minutes:
            last_line = time.monotonic()
            say(f"{summary.minutes:.1f} of {minutes:g} min; {cycle.line}")
        not_counted = 0 if cycle.counts else not_counted + 1
        if not_counted >= MAX_NOT_COUNTED:
            fix = "End other work on this GPU" if cycle.shared else "Check that the driver answers: nvidia-smi"
            raise Inconclusive(cycle.shared or cycle.unseen, f"{fix}; then burn in again.")


class _Worker:
    """The three kinds of work, prepared once."""

    def __init__(self, device: Device, profile: Profile, samples: Path) -> None:
        sizes, precision = profile.workloads.burn_in, PRECISION[device.kind]
        self._device, self._samples, self._cycle_s = device, samples, sizes.cycle_s
        self._matmuls = Matmuls(device, profile, precision)
        self._copies = Copies(device, profile)
        self._training = Training(device, precision, sizes.steps)
        workload.rate(self._matmuls, min(WARM_UP_S, sizes.cycle_s))

    def cycle(self) -> Cycle:
        """One cycle of all three kinds of work; a GPU is sampled meanwhile, then checked for other processes."""
        if self._device.kind == "cpu":
            return self._work()
        cycle = None
        try:
            with sampling(self._device.index, keep=self._samples) as samples:
                cycle = replace(self._work(), errors=None)
            cycle = replace(cycle, errors=_errors(self._device))
            cycle = replace(cycle, shared=self._device.other_processes() or "")
            return _with_samples(cycle, samples())
        except Inconclusive as unknown:
            if cycle is None:
                raise
            # What was computed is kept where the driver falls silent: a wrong value is wrong, whatever else is unknown.
            return replace(cycle, unseen=unknown.problem)

    def _work(self) -> Cycle:
        start = time.monotonic()
        cycle = Cycle(
            at=time.time(),
            seconds=0.0,
            matmul=self._rate(self._matmuls, "matmul"),
            copy=self._rate(self._copies, "copy"),
            training=self._rate(self._training, "training"),
            wrong=self._matmuls.wrong() + self._copies.wrong() + self._training.wrong(),
            product=self._matmuls.fingerprint(),
            weights=self._training.fingerprint(),
        )
        return replace(cycle, at=time.time(), seconds=time.monotonic() - start)

    def _rate(self, work: Work, share: str) -> float:
        """Work done per second, for this share of the cycle."""
        return workload.rate(work, SHARES[share] * self._cycle_s)


def _with_samples(cycle: Cycle, samples: Samples) -> Cycle:
    """The cycle with what was sampled meanwhile."""
    clock, hottest = samples.median("clock"), samples.highest("temperature")
    power = samples.median("power_w") if samples.has("power_w") else None
    return replace(cycle, clock_mhz=clock, hottest=hottest, hot=samples.hot, capped=samples.power_capped, power_w=power)
