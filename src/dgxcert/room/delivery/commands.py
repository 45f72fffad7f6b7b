"""The command that validates a host, as the agent there begins it."""

from collections.abc import Sequence

from dgxcert.judgement.requirement import Tier
from dgxcert.machine.runtime import REHEARSAL, Runtime, RuntimeChoice
from dgxcert.plan.options import Weights
from dgxcert.room.inventory import Host
from dgxcert.room.options import RoomOptions

HERE = "{place}"
"""What the agent replaces by the absolute path of its folder."""

LATEST = (f"{HERE}/latest/bin/python", "-P", "-m", "dgxcert")
"""dgxcert as it was delivered last."""


def program(environment: str) -> list[str]:
    """dgxcert in an environment on a host."""
    return [f"{HERE}/environment/{environment}/bin/python", "-P", "-m", "dgxcert"]


def given(room: str) -> str:
    """Where files of the controller lie on a host that its validation reads."""
    return f"{HERE}/work/{room}/given"


def validation(host: Host, options: RoomOptions, room: str = "room") -> list[str]:
    """The arguments of dgxcert that validate a host.

    >>> validation(Host("a", "10.0.0.1"), RoomOptions(tier=Tier.QUICK, only=("GPU-XID",)), "r")[:5]
    ['validate', '--profile', 'auto', '--tier', 'quick']
    """
    args = ["validate", "--profile", options.profile_of(host), "--tier", options.tier.value]
    args += ["--minutes", f"{options.minutes:g}"] if options.tier is Tier.BURN_IN else []
    args += ["--only", ",".join(options.only)] if options.only else []
    args += ["--weights", options.weights.value] if options.weights is not Weights.SEEDED else []
    args += ["--runtime", options.runtime.value, *image(options)]
    args += [] if options.build else ["--no-build"]
    args += ["--waivers", f"{given(room)}/waivers.yaml"] if options.waivers else []
    args += ["--site", f"{given(room)}/site"] if options.site else []
    return [*args, "--results", f"{HERE}/results/{room}"]


def image(options: RoomOptions, name: str = "--image") -> list[str]:
    """The options that say which image: of `validate`, and with another `name` of `dgxcert image`."""
    words: Sequence[tuple[str, str]] = (("--stack", options.stack), (name, options.image), ("--base", options.base))
    return [word for option, value in words if value for word in (option, value)]


def runs_in(host: Host, options: RoomOptions) -> Runtime:
    """Where the work of a host's validation is done, as `dgxcert validate` there decides it outside a container.

    >>> runs_in(Host("a", "a", profile="cpu"), RoomOptions()), runs_in(Host("a", "a"), RoomOptions())
    (<Runtime.NATIVE: 'native'>, <Runtime.DOCKER: 'docker'>)
    """
    # `runtime.resolve` would ask whether this controller is in a container.
    if options.runtime is not RuntimeChoice.AUTO:
        return Runtime(options.runtime.value)
    return Runtime.NATIVE if options.profile_of(host) == REHEARSAL else Runtime.DOCKER
