"""Clock lock: a clock that stands still under load, below what the GPU reaches, for no reason that the driver gives.

NVML does not report a lock: with `nvidia-smi -lgc 300,2100` a GB10 still answers 208 to 3003 MHz as its range, 2418 MHz
as its application clock, and no event reason (djmad/Spark_Energy_Management, doc/12). What shows it is the clock:
power and heat move one all the time, a lock does not. A GPU that happens to stand still under dense products is told
apart by lighter work, which draws less power: there its clock rises, unless it is locked.
"""

from dataclasses import dataclass

from dgxcert.judgement.limit import Bound, Limit
from dgxcert.judgement.units import OF_CEILING
from dgxcert.outcome import Inconclusive
from dgxcert.probes.gpu.samples import (
    POWER_BRAKE,
    POWER_CAP,
    SLOWDOWN,
    SYNC_BOOST,
    THERMAL_HARDWARE,
    THERMAL_SOFTWARE,
    Samples,
)

REASONS = POWER_CAP | SLOWDOWN | SYNC_BOOST | THERMAL_SOFTWARE | THERMAL_HARDWARE | POWER_BRAKE
"""Event reasons that explain a low clock. That clocks were set (0x2) is no explanation but the finding itself."""
MOST = 0.5
"""A reason explains a clock that never moves only if it is there for most of the load."""

RELEASE = (
    "Release a clock lock, which costs nothing: sudo nvidia-smi -rgc; then run this again.",
    "Find what sets it at each start: systemctl list-units '*nvidia*'; crontab -l; grep -rs 'nvidia-smi' /etc/systemd "
    "/etc/rc.local",
)


@dataclass(frozen=True)
class Rule:
    """Limits of a profile: how little a clock moves that stands still, and how high such a clock is on a free GPU."""

    still: Limit
    """`max`: MHz below the highest reading."""
    free: Limit
    """Below `min` a clock that stands still is locked, from `max` on it is free, and between them nothing tells."""
    boost: Limit
    """`min`: a share of the highest clock that customers may use, where the driver knows one."""


@dataclass(frozen=True)
class Standing:
    """Where the clock stands, and what a free one reaches, in MHz. `lighter_mhz` is the highest under lighter work."""

    at_mhz: float
    locked_below_mhz: float
    free_from_mhz: float
    lighter_mhz: float | None = None

    @property
    def is_free(self) -> bool:
        """Whether the clock is as high as a free one. Raises Inconclusive where nothing tells.

        >>> Standing(2086, locked_below_mhz=2390, free_from_mhz=2450).is_free
        False
        """
        if self.locked_below_mhz <= self.at_mhz < self.free_from_mhz:
            raise Inconclusive(f"{self.source}: it may be locked there, or be this GPU's own highest clock", *RELEASE)
        return self.at_mhz >= self.free_from_mhz

    @property
    def source(self) -> str:
        """What was seen, for evidence."""
        lighter = f" and under lighter work ({self.lighter_mhz:.0f} MHz)" if self.lighter_mhz is not None else ""
        return (
            f"NVML: the clock stands at {self.at_mhz:.0f} MHz under load{lighter}, for no reason that the driver gives"
        )


def suspected(samples: Samples, rule: Rule, highest: Bound | None, boost_mhz: float | None) -> Standing | None:
    """Where a clock stands that is too low for a free one; None for a clock that moves, is high, or is explained.

    Raises Inconclusive where a limit is a share of the highest clock and the driver does not report one.
    """
    if not samples.has("event_reasons") or not samples.stands("clock", _edge(rule.still, rule.still.max)):
        return None
    locked_below, free_from = (_mhz(rule.free, edge, highest) for edge in (rule.free.min, rule.free.max))
    if boost_mhz:
        share = _edge(rule.boost, rule.boost.min)
        locked_below, free_from = (max(mhz, share * boost_mhz) for mhz in (locked_below, free_from))
    at_mhz = samples.highest("clock")
    return None if at_mhz >= free_from or _explained(samples) else Standing(at_mhz, locked_below, free_from)


def confirmed(standing: Standing, lighter: Samples, rule: Rule) -> Standing | None:
    """The same with the clock under lighter work; None where it rose there, so that no lock holds it."""
    lighter_mhz = lighter.highest("clock")
    if lighter_mhz - standing.at_mhz > _edge(rule.still, rule.still.max):
        return None
    return Standing(standing.at_mhz, standing.locked_below_mhz, standing.free_from_mhz, lighter_mhz)


def _explained(samples: Samples) -> bool:
    return max(samples.share(REASONS), samples.power_capped, samples.hot, samples.braked) >= MOST


def _mhz(limit: Limit, edge: float | None, highest: Bound | None) -> float:
    mhz = _edge(limit, edge)
    if limit.unit != OF_CEILING:
        return mhz
    if highest is None:
        raise Inconclusive("the driver does not report the highest clock of this GPU", "Run: nvidia-smi -q -d CLOCK")
    return mhz * highest.value


def _edge(limit: Limit, edge: float | None) -> float:
    if edge is None:
        raise Inconclusive(
            f"limit {limit.name} has no such edge: a missing limit is never a pass", "Complete it in the profile."
        )
    return edge
