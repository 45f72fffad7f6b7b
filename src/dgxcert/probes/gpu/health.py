"""GPU health: errors that memory has had, rows that were taken out of service, modes that were set. By the driver."""

from dataclasses import dataclass

from dgxcert.probes.gpu import nvml


@dataclass(frozen=True)
class EccErrors:
    """Memory errors since the driver was loaded, and ever. `counted` says whether this GPU counts them at all."""

    counted: bool
    uncorrected: int
    corrected: int
    uncorrected_ever: int
    source: str


@dataclass(frozen=True)
class RemappedRows:
    """Memory rows that were replaced by spare ones, for corrected and uncorrected errors."""

    corrected: int
    uncorrected: int
    pending: bool
    """A replacement waits for the GPU to be reset."""
    failed: bool
    """There was no spare row left."""
    source: str


def ecc_errors(index: int) -> EccErrors:
    """The error counters; none where the driver says that this GPU has no error correction, or has it switched off.

    Raises Inconclusive where it says anything else, such as `Unknown Error`, which a GPU with a bad memory gives.
    """
    names = ("ecc_uncorrected", "ecc_corrected", "ecc_uncorrected_ever")
    found = nvml.ask(index, "ecc_mode", *names)
    mode = found.if_supported("ecc_mode")
    if mode is None or not mode[0]:
        why = "this GPU has no error correction" if mode is None else "its error correction is off"
        return EccErrors(False, 0, 0, 0, f"NVML: {why}, so that nothing is counted")
    return EccErrors(
        counted=True,
        uncorrected=int(found["ecc_uncorrected"]),
        corrected=int(found["ecc_corrected"]),
        uncorrected_ever=int(found["ecc_uncorrected_ever"]),
        source="NVML, since the driver was loaded",
    )


def ecc_enabled(index: int) -> bool:
    """Whether error correction is on, and stays so; raises Inconclusive where the driver does not tell."""
    now, after_reset = nvml.ask(index, "ecc_mode")["ecc_mode"]
    return bool(now and after_reset)


def remapped_rows(index: int) -> RemappedRows:
    """Replaced rows; none where the driver says that this GPU replaces none."""
    found = nvml.ask(index, "remapped_rows").if_supported("remapped_rows")
    if found is None:
        return RemappedRows(0, 0, False, False, "NVML: this GPU replaces no rows")
    corrected, uncorrected, pending, failed = found
    return RemappedRows(corrected, uncorrected, bool(pending), bool(failed), "NVML")


def persistence(index: int) -> bool:
    """Whether the driver stays loaded while nobody uses the GPU."""
    return bool(nvml.ask(index, "persistence")["persistence"])


def compute_mode(index: int) -> str:
    """`Default`, `Exclusive_Process` or `Prohibited`: who may use the GPU at the same time."""
    return str(nvml.ask(index, "compute_mode")["compute_mode"])


def mig_enabled(index: int) -> bool:
    """Whether the GPU is, or after its next reset will be, divided into several (MIG).

    Not where the driver says that it cannot be.
    """
    modes = nvml.ask(index, "mig").if_supported("mig")
    return any(modes) if modes is not None else False


@dataclass(frozen=True)
class PowerLimit:
    """The power limit that is enforced, as a share of the one that the GPU ships with."""

    of_default: float
    source: str


def power_limit(index: int) -> PowerLimit:
    """The power limit; the whole of it where the driver says that this GPU has none, as laptops' have."""
    found = nvml.ask(index, "power_limit_w", "power_limit_default_w")
    enforced, default = found.if_supported("power_limit_w"), found.if_supported("power_limit_default_w")
    if enforced is None or not default:
        return PowerLimit(1.0, "NVML: this GPU has no power limit, or no default of one")
    return PowerLimit(enforced / default, f"NVML: {enforced:g} W of {default:g} W")
