"""An explanation of one requirement: its limits in each profile, the faults that it notices, and what is beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dgxcert import near_miss
from dgxcert.judgement.limit import Limit
from dgxcert.judgement.units import SPEEDS
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.plan import known_faults, limits_used, selection
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.known_faults import Catalogue, Fault
from dgxcert.plan.options import Options
from dgxcert.plan.selection import any_gpu
from dgxcert.profiles import profile as profiles
from dgxcert.profiles.profile import Profile
from dgxcert.profiles.quantity import Quantity


@dataclass(frozen=True)
class Required:
    """What one profile requires in one quantity."""

    profile: str
    limit: Limit | None
    """None where the profile has none: then the requirement is inconclusive, or does not apply."""
    origin: str
    """Where its number comes from, without its basis; without a number, why it does not apply."""


@dataclass(frozen=True)
class Explanation:
    """What is known of a requirement before it is measured."""

    entries: tuple[Entry, ...]
    """One for each set of parameters that was asked for."""
    limits: Mapping[str, tuple[Required, ...]]
    """By the name of the limit, one for each profile that applies it."""
    excluded: Mapping[str, str]
    """Why it does not apply, by profile."""
    faults: Mapping[str, Fault]
    related: tuple[str, ...]
    """Requirements whose tests are in the same file."""

    @property
    def first(self) -> Entry:
        """The entry that says what all of them say."""
        return self.entries[0]


def of(name: str, catalogue: list[Entry], names: Iterable[str], suite: Path) -> Explanation:
    """The explanation of a requirement by its id or key, in these profiles: names, or files.

    Raises CannotStart with the nearest name where there is none.
    """
    entries = _entries(name, catalogue)
    named, file = entries[0].id, entries[0].nodeid.partition("::")[0]
    loaded = [(profiles.load(each), profiles.quantities(each)["limits"]) for each in names]
    excluded = {profile.name: why for profile, _ in loaded if (why := _excluded(entries, profile))}
    applying = [(profile, written) for profile, written in loaded if profile.name not in excluded]
    return Explanation(
        entries=entries,
        limits={
            limit: tuple(_required(limit, users, *each) for each in applying)
            for limit, users in _users(entries, suite).items()
        },
        excluded=excluded,
        faults=known_faults.noticed_by(named, _faults(suite)),
        related=tuple(dict.fromkeys(e.id for e in catalogue if e.nodeid.startswith(f"{file}::") and e.id != named)),
    )


def _users(entries: tuple[Entry, ...], suite: Path) -> dict[str, tuple[Entry, ...]]:
    """The entries that each limit belongs to; speeds first, which are what a benchmark is about."""
    used = {entry.key: limits_used.of(entry, suite) for entry in entries}
    names = dict.fromkeys(name for limits in used.values() for name in limits)
    ordered = sorted(names, key=lambda name: name.split(".")[0] not in SPEEDS)
    return {name: tuple(entry for entry in entries if name in used[entry.key]) for name in ordered}


def _entries(name: str, catalogue: list[Entry]) -> tuple[Entry, ...]:
    """The entries of an id, or the one of a key, in whatever case it was typed."""
    typed = any_gpu(name.strip().lower())
    group = list(dict.fromkeys(entry.id for entry in catalogue if entry.group == typed))
    if group:
        raise CannotStart(f"{typed} is a group of {len(group)} requirements: {', '.join(group)}.", "Name one of them.")
    for called in (lambda entry: entry.id, lambda entry: entry.key, lambda entry: any_gpu(entry.key)):
        if found := tuple(entry for entry in catalogue if called(entry).lower() == typed):
            return found
    words = {word for entry in catalogue for word in (entry.id, any_gpu(entry.key))}
    raise CannotStart(
        f"No requirement is called {name[:60]!r}; {near_miss.hint(name.strip(), words)}",
        "`dgxcert list` shows every requirement.",
    )


def _excluded(entries: tuple[Entry, ...], profile: Profile) -> str:
    """Why a profile applies none of these entries, or ""; one of any number of GPUs is asked about several."""
    options = Options(profile=profile.name, runtime=Runtime.DOCKER)
    gpus = profile.gpu.expected if profile.gpu.count is not None else max(profile.gpu.expected, 2)
    reasons = [selection.decide(entry, profile, options, gpus).not_applicable for entry in entries]
    return reasons[0] if all(reasons) else ""


def _required(name: str, users: tuple[Entry, ...], profile: Profile, written: Mapping[str, Quantity]) -> Required:
    if why := _excluded(users, profile):
        return Required(profile.name, None, f"does not apply: {why}")
    if name == limits_used.GPUS:
        return Required(profile.name, profile.gpu_count, profile.gpu_count.source)
    origin = written[name].origin if name in written else "none, so that it is inconclusive there"
    return Required(profile.name, profile.limits.get(name), origin)


def _faults(suite: Path) -> Catalogue:
    """The known faults; none where this suite does not carry them."""
    try:
        return known_faults.load(suite)
    except FileNotFoundError:
        return Catalogue(groups={})
