"""Ceilings: the peaks that a run's benchmarks are drawn against: the profile's, or those measured in the run itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from dgxcert.judgement.evidence import Evidence
from dgxcert.judgement.limit import Bound, Roofline
from dgxcert.record.figures import has_own_peaks
from dgxcert.record.run import Run

PRECISIONS = ("bf16", "fp32")
"""The precisions whose matmul peak is drawn, the first that a profile has."""


@dataclass(frozen=True)
class Roof:
    """Memory bandwidth in GB/s and matmul rate in TFLOP/s, under which every workload stays."""

    gb_s: float
    tflops: float


def are_measured(run: Run) -> bool:
    """Whether a run's benchmarks are shown against what the run itself measured.

    The peaks of `cpu` and `generic-nvidia` are above any machine of their kind: a share of them says nothing.
    """
    return not has_own_peaks(run.profile)


def bound(run: Run, item: Evidence) -> Bound | None:
    """What 100 % is for a timed quantity; None where there is nothing to compare it with."""
    return item.ceiling if are_measured(run) else item.roofline


def of_profile(run: Run) -> tuple[str, Roof] | None:
    """The theoretical peaks of the profile, and the precision of its matmul peak; None where it has none."""
    bandwidth = run.profile.physical.get("memory_bandwidth")
    peaks = ((name, run.profile.physical.get(f"matmul.{name}")) for name in PRECISIONS)
    found = next(((name, peak) for name, peak in peaks if peak is not None), None)
    return (found[0], Roof(bandwidth.value, found[1].value)) if bandwidth and found else None


def of_run(run: Run) -> Roof | None:
    """The peaks of the ceilings that were measured in the run, the highest of all benchmarks; None without any.

    A ceiling is as high as its workload needs: bandwidth where memory is the limit, matmul where arithmetic is.
    """
    timed = (item.ceiling for item in _timed(run))
    ceilings = [each for each in timed if isinstance(each, Roofline) and each.intensity > 0 and each.tflops > 0]
    if not ceilings:
        return None
    return Roof(max(each.tflops * 1e3 / each.intensity for each in ceilings), max(each.tflops for each in ceilings))


def _timed(run: Run) -> Iterable[Evidence]:
    return (item for result in run.results for item in result.evidence if item.rounds_s)
