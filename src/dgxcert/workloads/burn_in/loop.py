"""Burn-in loop: matmuls, copies and training steps in turn for the set minutes, each result compared with the first.

It works on one device: the only one of a machine, or that of a rank, which works beside its siblings (`together`).
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
    path = path_of(device, keeps)
    begin(device, path, settings_of(device, profile))
    try:
        _work(path, Worker(device, profile, path), minutes, say)
    except KeyboardInterrupt:
        log.append_pause(path)
        raise
    except Exception:
        log.require_correct(log.summary_of(path))  # a wrong value is a finding, also where a later cycle failed
        raise
    return log.summary_of(path)


def finished(device: Device, keeps: Path, minutes: float) -> Summary:
    """The summary of a finished burn-in of this device.

    Raises Wrong where a result was wrong, also if something killed it afterwards; Inconclusive where it was cut
    short or has too few cycles.
    """
    summary = log.summary_of(path_of(device, keeps))
    log.require_correct(summary)
    log.require_duration(summary, minutes)
    return summary


def path_of(device: Device, keeps: Path) -> Path:
    """The log of a device."""
    return keeps / f"burn-in-{device.kind}{device.index}.jsonl"


def begin(device: Device, path: Path, settings: dict[str, Any]) -> None:
    """Write that the burn-in of a device starts or resumes; raises Inconclusive where it had other settings before."""
    require_same(path, settings)
    log.append_start(path, settings, _errors(device), _highest_mhz(device))


def settings_of(device: Device, profile: Profile) -> dict[str, Any]:
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


def require_same(path: Path, current: dict[str, Any]) -> None:
    """Raise Inconclusive where a log was started with other settings."""
    started = log.summary_of(path).settings or current
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


def _work(path: Path, worker: "Worker", minutes: float, say: Callable[[str], None]) -> None:
    summary, last_line, not_counted = log.summary_of(path), 0.0, 0
    while summary.minutes < minutes:
        cycle = worker.cycle()
        log.append_cycle(path, cycle)
        summary = replace(summary, cycles=(*summary.cycles, cycle))
        if time.monotonic() - last_line >= SAY_S or summary.minutes >= minutes:
            last_line = time.monotonic()
            say(f"{summary.minutes:.1f} of {minutes:g} min; {cycle.line}")
        not_counted = 0 if cycle.counts else not_counted + 1
        if not_counted >= MAX_NOT_COUNTED:
            raise disturbed(cycle)


def disturbed(cycle: Cycle) -> Inconclusive:
    """The error that ends a burn-in after too many cycles like this one, which does not count."""
    fix = "End other work on this GPU" if cycle.shared else "Check that the driver answers: nvidia-smi"
    return Inconclusive(cycle.shared or cycle.unseen, f"{fix}; then burn in again.")


class Worker:
    """The three kinds of work, prepared once; samples of the GPU go beside its log.

    `ours` is how many processes of this run are on the GPU: with ranks perhaps the one that started them too.
    """

    def __init__(self, device: Device, profile: Profile, path: Path, ours: int = 1) -> None:
        sizes, precision = profile.workloads.burn_in, PRECISION[device.kind]
        self._device, self._samples, self._ours = device, path.with_suffix(".samples.jsonl"), ours
        self._cycle_s = sizes.cycle_s
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
            cycle = replace(cycle, shared=self._device.other_processes(self._ours) or "")
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
