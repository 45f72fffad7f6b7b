"""The plan: for every requirement there is, whether this run runs it, and if not, why not. Pure."""

import fnmatch
import re
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from dgxcert.judgement.requirement import Stage, Tier
from dgxcert.judgement.units import nearest
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import CannotStart
from dgxcert.profiles.profile import Profile

CONTAINER = "container"
"""Name of the stage that works in the image rather than on the machine itself."""
NATIVE = "native"
"""Name of the stage that does the same work in this very environment."""
WORKING = (CONTAINER, NATIVE)
"""The stages whose requirements take memory that the machine may need for itself."""
ALL = "-*]"
"""How a profile's name ends that means every key which begins so."""
AROUND = 1.25
"""Of the minutes that a burn-in is asked for: its budget, since cycles that do not count and looking take time too."""


class Entry(BaseModel):
    """One requirement of the catalogue, for one set of parameters: `DECODE-SPEED[int4]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    id: str
    group: str
    title: str
    why: str
    remedy: tuple[str, ...]
    tier: Tier
    takes_s: float
    budget_s: float
    nodeid: str
    stage: Stage = Stage.WORK
    gate: bool = False
    resumes: bool = False
    real_weights: bool = False


class Planned(Entry):
    """An entry with the plan's decision: both reasons empty means that it is run."""

    not_applicable: str = ""
    not_run: str = ""

    @property
    def runs(self) -> bool:
        """Whether this run measures it."""
        return not (self.not_applicable or self.not_run)


class Weights(StrEnum):
    """What models are made of in a run."""

    SEEDED = "seeded"
    """Random numbers from a seed, in the shape of real models: nothing is downloaded."""
    HUB = "hub"
    """Besides those, real checkpoints from the Hub at pinned revisions."""


class Options(BaseModel):
    """What the user asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str
    tier: Tier = Tier.STANDARD
    only: tuple[str, ...] = ()
    runtime: Runtime = Runtime.NATIVE
    runtime_because: str = ""
    """Why it is this runtime, where nobody named one."""
    stack: str = "course"
    image: str = ""
    """Name of the container image; empty means `dgxcert:STACK`."""
    base: str = ""
    """The base image; empty means the pinned one."""
    minutes: float = 30.0
    """How long a requirement of the burn-in tier works."""
    weights: Weights = Weights.SEEDED
    build: bool = True
    """Whether an image that does not fit this checkout is built anew."""

    @property
    def reference(self) -> str:
        """The image's name."""
        return self.image or f"dgxcert:{self.stack}"

    def place(self, stage: Stage) -> str:
        """The stage's name in this run: work is done in the `container`, or `native`."""
        if stage is Stage.WORK:
            return CONTAINER if self.runtime is Runtime.DOCKER else NATIVE
        return stage.value

    @property
    def whole(self) -> bool:
        """Whether this asks for the whole standard tier, the one that certifies."""
        return self.tier.includes(Tier.STANDARD) and not self.only


def make(catalogue: list[Entry], profile: Profile, options: Options) -> list[Planned]:
    """Decide for every requirement of the catalogue.

    Raises CannotStart when a name in `--only` or in the profile matches nothing, or when nothing is left to run:
    a run of nothing must not look like a run.
    """
    if not catalogue:
        raise CannotStart("No requirement was found.", "Run from a checkout, or install the package whole.")
    _check_names(catalogue, profile, options)
    planned = [decide(entry, profile, options) for entry in catalogue]
    if not any(entry.runs for entry in planned):
        raise CannotStart(
            f"Nothing is left to run: profile {profile.name} with tier {options.tier.value}"
            f"{' and --only ' + ','.join(options.only) if options.only else ''} leaves every requirement out.",
            "Name another requirement or tier; `dgxcert list` shows what there is.",
        )
    return planned


def decide(entry: Entry, profile: Profile, options: Options) -> Planned:
    """Decide for one requirement. Only the profile can say that it does not apply."""
    not_applicable = _not_applicable(entry, profile.excuses(options.runtime))
    not_run = ""
    if not not_applicable and options.only and not any(_matches(entry, name) for name in options.only):
        not_run = "left out by --only"
    elif not not_applicable and not options.tier.includes(entry.tier):
        not_run = f"belongs to tier {entry.tier.value}"
    elif not not_applicable and entry.real_weights and options.weights is not Weights.HUB:
        not_run = "works on real checkpoints, which --weights hub asks for"
    asked_s = 60 * options.minutes if entry.resumes else 0.0
    longer = {"takes_s": entry.takes_s + asked_s, "budget_s": entry.budget_s + AROUND * asked_s}
    return Planned(**entry.model_dump() | longer, not_applicable=not_applicable, not_run=not_run)


def _not_applicable(entry: Entry, excuses: dict[str, str]) -> str:
    """The reason of the name that is nearest: a key before all keys that begin so, and these before an id."""
    nearest_first = sorted(excuses, key=lambda name: (name == entry.id, name.endswith(ALL)))
    return next((excuses[name] for name in nearest_first if _excused(entry, name)), "")


def _excused(entry: Entry, name: str) -> bool:
    """Whether a profile's name means this entry: its key, its id, or `ID[first-*]`, all keys that begin so."""
    if name.endswith(ALL):
        return any_gpu(entry.key).startswith(name.removesuffix(ALL) + "-")
    return name in _names(entry)


def _names(entry: Entry) -> tuple[str, ...]:
    """What a profile may call this entry: its key, with or without the GPU, or its id."""
    return entry.key, any_gpu(entry.key), entry.id


def any_gpu(key: str) -> str:
    """A key without the GPU it is about: `DECODE-SPEED[int4-gpu3]` is `DECODE-SPEED[int4]`."""
    return re.sub(r"-?gpu\d+\]$", "]", key).removesuffix("[]")


def _matches(entry: Entry, name: str) -> bool:
    """Whether a name from --only means this entry: its group, its id, its key, or a pattern of those."""
    if name == entry.group or name in _names(entry):
        return True
    return any(mark in name for mark in "*?") and any(
        fnmatch.fnmatchcase(word, name) for word in (entry.id, entry.group)
    )


def _check_names(catalogue: list[Entry], profile: Profile, options: Options) -> None:
    """A profile may name ids and keys; `--only` groups and patterns too."""
    ids = {word for entry in catalogue for word in (entry.id, any_gpu(entry.key))}
    for section in ("not_applicable", "not_applicable_native"):
        for name in getattr(profile, section):
            if not any(_excused(entry, name) for entry in catalogue):
                raise _unknown(f"profile {profile.name}: {section}", name, ids)
    for name in options.only:
        if not any(_matches(entry, name) for entry in catalogue):
            raise _unknown("--only", name, ids | {entry.group for entry in catalogue})


def _unknown(where: str, name: str, known: set[str]) -> CannotStart:
    return CannotStart(
        f"{where}: no requirement is called {name!r}; {nearest(name, sorted(known))}",
        "`dgxcert list` shows every requirement and group.",
    )
