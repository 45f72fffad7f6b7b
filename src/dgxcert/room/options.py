"""The options of a room: what every host validates, as `dgxcert validate` on each of them would take it."""

from pydantic import BaseModel, ConfigDict, Field

from dgxcert.judgement.requirement import Tier
from dgxcert.machine.runtime import RuntimeChoice
from dgxcert.plan.options import Weights
from dgxcert.room.inventory import Host

AUTO = "auto"
HOUR_S = 3600.0
LIMITS_S = {Tier.QUICK: 1 * HOUR_S, Tier.STANDARD: 8 * HOUR_S, Tier.BURN_IN: 8 * HOUR_S}
"""After how long a validation is ended on its host, without the minutes of its burn-in: several times what a healthy
machine takes with an image to build, and far less than a week-end."""
BURN_INS = 4
"""How often the minutes of a burn-in fit into its time limit: more than its requirements, which each take them once."""


class RoomOptions(BaseModel):
    """What the user asked for, for all hosts.

    >>> RoomOptions(only=("GPU-XID",), tier=Tier.QUICK).differences(RoomOptions(only=("GPU-XID",)))
    ('tier quick instead of standard',)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    profile: str = ""
    """For every host; "" takes each host's own from the inventory (`dgxcert_profile`), and `auto` where it has none."""
    tier: Tier = Tier.STANDARD
    minutes: float = Field(default=30.0, gt=0, le=1e6)
    """Of the burn-in, for that tier."""
    only: tuple[str, ...] = ()
    """Requirements or groups to run; empty for all."""
    weights: Weights = Weights.SEEDED
    runtime: RuntimeChoice = RuntimeChoice.AUTO
    stack: str = "course"
    image: str = ""
    """Name of the image; "" means `dgxcert:STACK`."""
    base: str = ""
    """The base image; "" means the pinned one."""
    build: bool = True
    """Whether an image that does not fit this suite is built."""
    waivers: str = ""
    """A file of waivers on the controller, which is handed to every host; "" for none."""
    site: str = ""
    """A site profile on the controller, or a folder of them, which is handed to every host; "" for none."""

    registry: str = ""
    """A registry of the lab, HOST/NAME: the first host puts the image there, and the others take it; "" hands it on
    through the controller."""

    def profile_of(self, host: Host) -> str:
        """The profile that a host is validated by.

        >>> RoomOptions().profile_of(Host("spark-01", "10.0.0.1", profile="dgx-spark"))
        'dgx-spark'
        >>> RoomOptions(profile="cpu").profile_of(Host("spark-01", "10.0.0.1", profile="dgx-spark"))
        'cpu'
        """
        return self.profile or host.profile or AUTO

    @property
    def words(self) -> list[str]:
        """The options as they are typed, without those that have their default.

        >>> RoomOptions(tier=Tier.QUICK, only=("GPU-XID", "stack"), build=False).words
        ['--tier', 'quick', '--only', 'GPU-XID,stack', '--no-build']
        """
        found = []
        usual = RoomOptions()
        for name, value in self.model_dump(mode="json").items():
            if name == "build":
                found += [] if value else ["--no-build"]
            elif value != usual.model_dump(mode="json")[name]:
                found += [f"--{name}", _typed(value)]
        return found

    @property
    def limit_s(self) -> float:
        """After how many seconds a validation is ended on its host."""
        burn_in = BURN_INS * 60 * self.minutes if self.tier is Tier.BURN_IN else 0.0
        return LIMITS_S[self.tier] + burn_in

    def differences(self, other: "RoomOptions") -> tuple[str, ...]:
        """What differs from `other`, one phrase for each option, as both are typed."""
        mine, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return tuple(
            f"{name} {_typed(mine[name])} instead of {_typed(theirs[name])}"
            for name in mine
            if mine[name] != theirs[name]
        )


def _typed(value: object) -> str:
    """A value as it is typed: a list by its commas, and what is empty in words."""
    if isinstance(value, list):
        value = ",".join(value)
    return "none" if value == "" else str(value)
