"""What a host runs: the command of its validation, and of going on with it. Pure."""

from dgxcert.judgement.requirement import Tier
from dgxcert.machine.runtime import Runtime, resolve
from dgxcert.room.inventory import Host
from dgxcert.room.options import RoomOptions


def python(host: Host, suite: str) -> str:
    """The Python of a host's environment: the lab's own, or that of the delivered suite.

    >>> python(Host("a", "a"), "/home/lab/dgxcert-room/suite/1")
    '/home/lab/dgxcert-room/suite/1/.venv/bin/python'
    """
    return f"{host.environment.rstrip('/') or f'{suite}/.venv'}/bin/python"


def validation(host: Host, options: RoomOptions, suite: str, results: str) -> list[str]:
    """The command that validates a host: `dgxcert validate` of the delivered suite.

    >>> " ".join(validation(Host("a", "a", environment="/e"), RoomOptions(profile="cpu"), "/s", "/r")[1:7])
    '-m dgxcert validate --results /r --profile'
    """
    words = [python(host, suite), "-m", "dgxcert", "validate", "--results", results]
    words += ["--profile", options.profile_of(host), "--tier", options.tier.value, "--runtime", options.runtime.value]
    words += ["--weights", options.weights.value, "--stack", options.stack]
    words += ["--minutes", f"{options.minutes:g}"] if options.tier is Tier.BURN_IN else []
    words += ["--only", ",".join(options.only)] if options.only else []
    for option, value in (("--image", options.image), ("--base", options.base)):
        words += [option, value] if value else []
    return words if options.build else [*words, "--no-build"]


def resumption(host: Host, suite: str, results: str) -> list[str]:
    """The command that goes on with a validation; the run folder follows it."""
    return [python(host, suite), "-m", "dgxcert", "validate", "--results", results, "--resume"]


def variables(suite: str) -> dict[str, str]:
    """Variables of the validation: dgxcert is imported from the delivered suite, whatever an environment has."""
    return {"PYTHONPATH": f"{suite}/src", "PYTHONDONTWRITEBYTECODE": "1"}


def needs_image(host: Host, options: RoomOptions) -> bool:
    """Whether the validation of a host works in the container."""
    place, _ = resolve(options.runtime, options.profile_of(host))
    return place is Runtime.DOCKER
