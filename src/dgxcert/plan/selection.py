"""The plan: for every requirement of the catalogue, whether this run measures it, and if not, why not. Pure."""

import fnmatch
import re
from functools import lru_cache

from dgxcert import near_miss
from dgxcert.outcome import CannotStart
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.options import Options, Weights
from dgxcert.profiles.profile import Profile

ALL = "-*]"
"""Suffix of a name in a profile that matches all keys with its prefix: `DECODE-SPEED[int4-*]`."""
OVERHEAD = 1.25
"""Budget per minute of burn-in: cycles that are not counted, and the checks between cycles, take time too."""

SIZED = (
    *("DECODE-SPEED", "LORA-SPEED", "PREFILL-SPEED", "WEIGHTS-LOAD"),
    *("COLLECTIVE-SPEED", "LORA-SCALING", "SAME-BITS"),
)
"""What is smaller in a profile without a GPU: models, files, and how many ranks work together."""
REHEARSED = 0.22
"""What these take of `takes_s` there: 0.14 to 0.28 were measured on two cores, for DECODE-SPEED 0.15 and 0.30."""


class Planned(Entry):
    """An entry of the catalogue with the plan's decision: it is measured where both reasons are empty."""

    not_applicable: str = ""
    not_run: str = ""

    @property
    def runs(self) -> bool:
        """Whether this run measures it."""
        return not (self.not_applicable or self.not_run)


def make(catalogue: list[Entry], profile: Profile, options: Options, gpus: int) -> list[Planned]:
    """Decide for every requirement of the catalogue, on a machine with so many GPUs (`Profile.gpus_in`).

    Raises CannotStart where a name in `--only` or in the profile matches nothing, and where nothing is left to run:
    an empty run must not look like a run.
    """
    if not catalogue:
        raise CannotStart("No requirement was found.", "Run from a checkout, or reinstall the package.")
    _check_names(catalogue, profile, options)
    planned = [decide(entry, profile, options, gpus) for entry in catalogue]
    if not any(entry.runs for entry in planned):
        raise CannotStart(
            f"Nothing is left to run: profile {profile.name} with tier {options.tier.value}"
            f"{' and --only ' + ','.join(options.only) if options.only else ''} deselects every requirement.",
            "Name another requirement or tier; `dgxcert list` shows all of them.",
        )
    return planned


def decide(entry: Entry, profile: Profile, options: Options, gpus: int) -> Planned:
    """Decide for one requirement. Only the profile can make it not applicable."""
    not_applicable = _not_applicable(entry, profile.exclusions(options.runtime, gpus))
    not_run = "" if not_applicable else _not_run(entry, options)
    burn_in_s = 60 * options.minutes if entry.resumes else 0.0
    share = REHEARSED if entry.id in SIZED and not profile.uses_gpu else 1.0
    times = {"takes_s": share * entry.takes_s + burn_in_s, "budget_s": entry.budget_s + OVERHEAD * burn_in_s}
    return Planned(**entry.model_dump() | times, not_applicable=not_applicable, not_run=not_run)


def _not_run(entry: Entry, options: Options) -> str:
    if options.only and not any(_matches(entry, name) for name in options.only):
        return "deselected by --only"
    if not options.tier.includes(entry.tier):
        return f"belongs to tier {entry.tier.value}"
    if entry.real_weights and options.weights is not Weights.HUB:
        return "needs real checkpoints: --weights hub"
    return ""


def _not_applicable(entry: Entry, exclusions: dict[str, str]) -> str:
    """The reason of the most specific name: a key before `ID[first-*]`, and that before an id."""
    most_specific_first = sorted(exclusions, key=lambda name: (name == entry.id, name.endswith(ALL)))
    return next((exclusions[name] for name in most_specific_first if _is_excluded(entry, name)), "")


def _is_excluded(entry: Entry, name: str) -> bool:
    """Whether a name in a profile matches this entry: its key, its id, or `ID[first-*]`."""
    if name.endswith(ALL):
        return any_gpu(entry.key).startswith(name.removesuffix(ALL) + "-")
    return name in _names(entry)


def _names(entry: Entry) -> tuple[str, ...]:
    """The names of an entry: its key, with and without the GPU, and its id."""
    return entry.key, any_gpu(entry.key), entry.id


@lru_cache(maxsize=10_000)  # thousands of runs share the keys of one catalogue
def any_gpu(key: str) -> str:
    """A key without its GPU.

    >>> any_gpu("DECODE-SPEED[int4-gpu3]"), any_gpu("BF16-CORRECT[gpu0]")
    ('DECODE-SPEED[int4]', 'BF16-CORRECT')
    """
    return re.sub(r"-?gpu\d+\]$", "]", key).removesuffix("[]")


def _matches(entry: Entry, name: str) -> bool:
    """Whether a name from --only matches this entry: its group, id or key, or a pattern of group or id."""
    if name == entry.group or name in _names(entry):
        return True
    # Brackets are part of a key, so that only * and ? make a pattern.
    return any(wildcard in name for wildcard in "*?") and any(
        fnmatch.fnmatchcase(word, name) for word in (entry.id, entry.group)
    )


def _check_names(catalogue: list[Entry], profile: Profile, options: Options) -> None:
    """Raise CannotStart for a name that matches nothing. A profile names ids and keys, `--only` groups too."""
    ids = {word for entry in catalogue for word in (entry.id, any_gpu(entry.key))}
    for section in ("not_applicable", "not_applicable_native", "not_applicable_alone"):
        for name in getattr(profile, section):
            if not any(_is_excluded(entry, name) for entry in catalogue):
                raise _unknown(f"profile {profile.name}: {section}", name, ids)
    for name in options.only:
        if not any(_matches(entry, name) for entry in catalogue):
            raise _unknown("--only", name, ids | {entry.group for entry in catalogue})


def _unknown(where: str, name: str, known: set[str]) -> CannotStart:
    return CannotStart(
        f"{where}: no requirement is called {name[:60]!r}; {near_miss.hint(name, known)}",
        "`dgxcert list` shows every requirement and group.",
    )
