"""GPU health by NVML: ECC errors, remapped rows, modes and the power limit."""

import time
from dataclasses import dataclass

from dgxcert.judgement.computation import Computation
from dgxcert.probes.gpu import nvml


@dataclass(frozen=True)
class EccErrors:
    """Memory errors since the driver was loaded, and in the GPU's lifetime. `counted`: whether this GPU counts any."""

    counted: bool
    uncorrected: int
    corrected: int
    uncorrected_ever: int
    source: str
    at_s: float = 0.0
    """When they were read, in seconds after the boot."""

    def growth(self, gpu: int, computation: Computation) -> tuple[float, str]:
        """Corrected errors per second since GPU-ECC read them in this run, and what tells it.

        >>> before = {("GPU-ECC[gpu0]", "corrected errors"): 20, ("GPU-ECC[gpu0]", "time of reading"): 300.0}
        >>> EccErrors(True, 0, 177020, 0, "NVML", at_s=310.0).growth(0, Computation(before=before))
        (17700.0, 'NVML: 177000 more in 10 s of this run')
        """
        keys = (f"GPU-ECC[gpu{gpu}]", "GPU-ECC")  # the key of a machine's only GPU names none
        key = next((key for key in keys if (key, READ_BEFORE[0]) in computation.before), keys[0])
        earlier = [computation.before.get((key, name)) for name in READ_BEFORE]
        corrected, at_s = (value if isinstance(value, int | float) else None for value in earlier)
        if not self.counted or corrected is None or at_s is None or at_s >= self.at_s:
            return 0.0, f"{self.source}; not read before the work"
        more, seconds = max(0, self.corrected - corrected), self.at_s - at_s
        return more / seconds, f"NVML: {more:.0f} more in {seconds:.0f} s of this run"


READ_BEFORE = ("corrected errors", "time of reading")
"""Quantities of GPU-ECC."""


@dataclass(frozen=True)
class RemappedRows:
    """Memory rows that were replaced by spare ones, after corrected and after uncorrected errors."""

    corrected: int
    uncorrected: int
    pending: bool
    """A row is replaced at the next reset of the GPU, and is in use until then."""
    failed: bool
    """A row could not be replaced: no spare row was left."""
    source: str


def ecc_errors(index: int) -> EccErrors:
    """The error counters; all 0 and not `counted` where this GPU has no ECC, or has it disabled.

    Raises Inconclusive for any other refusal. A GPU with bad memory answers Unknown Error, which is not zero errors.
    """
    names = ("ecc_uncorrected", "ecc_corrected", "ecc_uncorrected_ever")
    answers = nvml.ask(index, "ecc_mode", *names)
    mode = answers.if_supported("ecc_mode")
    if mode is None or not mode[0]:
        reason = "this GPU has no error correction" if mode is None else "its error correction is off"
        return EccErrors(False, 0, 0, 0, f"NVML: {reason}, so nothing is counted")
    return EccErrors(
        counted=True,
        uncorrected=int(answers["ecc_uncorrected"]),
        corrected=int(answers["ecc_corrected"]),
        uncorrected_ever=int(answers["ecc_uncorrected_ever"]),
        source="NVML, since the driver was loaded",
        at_s=time.monotonic(),
    )


def ecc_enabled(index: int) -> bool:
    """Whether ECC is on and stays on after the next reset. Raises Inconclusive where the driver does not report it."""
    current, pending = nvml.ask(index, "ecc_mode")["ecc_mode"]
    return bool(current and pending)


def remapped_rows(index: int) -> RemappedRows:
    """The remapped rows; none where this GPU does not remap rows."""
    counts = nvml.ask(index, "remapped_rows").if_supported("remapped_rows")
    if counts is None:
        return RemappedRows(0, 0, False, False, "NVML: this GPU replaces no rows")
    corrected, uncorrected, pending, failed = counts
    return RemappedRows(corrected, uncorrected, bool(pending), bool(failed), "NVML")


def persistence(index: int) -> bool:
    """Whether the driver stays loaded while no program uses the GPU."""
    return bool(nvml.ask(index, "persistence")["persistence"])


def compute_mode(index: int) -> str:
    """`Default`, `Exclusive_Process` or `Prohibited`, as nvidia-smi prints it."""
    return str(nvml.ask(index, "compute_mode")["compute_mode"])


def mig_enabled(index: int) -> bool:
    """Whether MIG mode is on, or will be after the next reset. False where this GPU does not support MIG."""
    modes = nvml.ask(index, "mig").if_supported("mig")
    return any(modes) if modes is not None else False


@dataclass(frozen=True)
class PowerLimit:
    """The requested power limit as a share of the default one, and the enforced as a share of the requested one."""

    of_default: float
    source: str
    enforced: float = 1.0
    enforced_source: str = "NVML: as requested"
    remedy: tuple[str, ...] = ()


def power_limit(index: int) -> PowerLimit:
    """The power limit; 1.0 where the driver reports no limit or no default, as on laptops and GB10.

    What somebody has set with `nvidia-smi -pl` is the requested limit. The platform may enforce less: a module that
    shares its power with a CPU (GH200: 700 of 900 W), a server's BMC, or a lost power supply. `-pl` does not change
    that; event reasons and the clock under load decide whether it costs anything.
    """
    answers = nvml.ask(index, "power_limit_w", "power_limit_requested_w", "power_limit_default_w", "power_limits_w")
    enforced, default = answers.if_supported("power_limit_w"), answers.if_supported("power_limit_default_w")
    requested = answers.if_known("power_limit_requested_w") or enforced
    if requested is None or not default:
        return PowerLimit(1.0, "NVML: this GPU has no power limit, or no default for it")
    highest = max(answers.answered.get("power_limits_w") or [default])
    steps = (
        f"Set the default again: sudo nvidia-smi -pl {min(default, highest):g} -i {index}",
        "Find out what lowers it: systemctl list-units '*nvidia*'; crontab -l",
    )
    source = f"NVML: {requested:g} W of {default:g} W"
    if not enforced or enforced >= requested:
        return PowerLimit(requested / default, source, remedy=steps)
    kept = f"NVML: the platform enforces {enforced:g} W of the requested {requested:g} W"
    return PowerLimit(requested / default, source, enforced / requested, kept, steps)
