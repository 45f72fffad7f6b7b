"""The options of a run: what the user asked for, and the names that its stages have."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from dgxcert.judgement.requirement import OWN, Stage, Tier
from dgxcert.machine.runtime import Runtime
from dgxcert.plan.catalogue import Entry

CONTAINER = "container"
"""Name of the work stage of a run whose work is done in the container image."""
NATIVE = "native"
"""Name of the work stage of a run whose work is done in this environment."""
WORKING = (CONTAINER, NATIVE, f"{OWN}-{CONTAINER}", f"{OWN}-{NATIVE}")
"""The stages whose requirements allocate memory that the machine may need for itself."""


class Weights(StrEnum):
    """Where the weights of the models in a run come from."""

    SEEDED = "seeded"
    """Random numbers from a seed, in the shape of real models: nothing is downloaded."""
    HUB = "hub"
    """Besides those, real checkpoints from the Hub at pinned revisions."""


class Options(BaseModel):
    """What the user asked for.

    >>> Options(profile="dgx-spark", stack="current").image_reference
    'dgxcert:current'
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    profile: str
    site: str = ""
    """File or folder of a site profile, as it was given; empty where no site tightens the limits."""
    checks: str = ""
    """The folder of a lab's own checks; empty without any."""
    config: str = ""
    """What a config file gave of this, and which: `dgxcert.toml: profile = 'h200'`; empty where none did."""
    tier: Tier = Tier.STANDARD
    only: tuple[str, ...] = ()
    runtime: Runtime = Runtime.NATIVE
    runtime_because: str = ""
    """Why this runtime was chosen; empty where the user named it."""
    stack: str = "course"
    image: str = ""
    """Name of the container image; empty means `dgxcert:STACK`."""
    base: str = ""
    """The base image; empty means the pinned one."""
    minutes: float = Field(default=30.0, gt=0, le=1e6)
    """How long each requirement of the burn-in tier works."""
    weights: Weights = Weights.SEEDED
    build: bool = True
    """Whether an image that does not fit this checkout is rebuilt."""

    @property
    def image_reference(self) -> str:
        """Name of the container image: `dgxcert:course`."""
        return self.image or f"dgxcert:{self.stack}"

    @property
    def of_make(self) -> str:
        """The options of make by which a step runs where this run did its work; empty for those that make has anyway.

        >>> Options(profile="cpu", runtime="native").of_make
        'PROFILE=cpu RUNTIME=native'
        """
        profile = "" if self.profile == "auto" or "/" in self.profile else f"PROFILE={self.profile}"
        runtime = "RUNTIME=native" if self.runtime is Runtime.NATIVE else ""
        stack = "" if self.stack == "course" else f"STACK={self.stack}"
        return " ".join(filter(None, (profile, runtime, stack)))

    def stage_name(self, stage: Stage) -> str:
        """The stage's name in this run: the work stage is called `container` or `native`.

        >>> Options(profile="cpu").stage_name(Stage.WORK), Options(profile="cpu").stage_name(Stage.HOST)
        ('native', 'host')
        """
        if stage is Stage.WORK:
            return CONTAINER if self.runtime is Runtime.DOCKER else NATIVE
        return stage.value

    def stage_of(self, entry: Entry) -> str:
        """The stage in which a requirement is measured; a lab's own have stages, and processes, of their own."""
        name = self.stage_name(entry.stage)
        return f"{OWN}-{name}" if entry.own else name

    @property
    def whole(self) -> bool:
        """Whether this is the whole standard tier, the one that certifies."""
        return self.tier.includes(Tier.STANDARD) and not self.only
