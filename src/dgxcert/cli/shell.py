"""The command that opens a shell where the work of a run is done: there the commands of a remedy can be typed."""

import os
import sys
from pathlib import Path

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import RESULTS, ImageOption, NewResultsOption, ProfileOption, RuntimeOption, StackOption
from dgxcert.cli.usage.declaration import command
from dgxcert.machine.runtime import REHEARSAL, Runtime, RuntimeChoice, resolve

commands = typer.Typer()

BASH = ("bash", "--norc")
"""Without the user's settings, which could put another Python first."""

FLOOR_GIB = 4.0
"""Memory that a shell's container leaves to the machine, as runs of a DGX Spark do."""


@command(commands, group="validate", example="dgxcert shell --profile cpu")
def shell(
    profile: ProfileOption = "auto",
    results: NewResultsOption = RESULTS,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    stack: StackOption = "course",
    image: ImageOption = "",
) -> None:
    """Open a shell where the work of a run is done.

    That is a container of the image, or this environment.
    """
    place, _ = resolve(runtime, profile)
    if place is Runtime.NATIVE:
        folder = Path(sys.executable).parent
        screen.say(f"a shell with the Python of {folder}; `exit` leaves it")
        path = f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        os.execvpe(BASH[0], BASH, {**os.environ, "PATH": path})  # noqa: S606 (an argument list; becomes that shell)
    service = "cpu" if profile == REHEARSAL else "gpu"
    reference = image or f"dgxcert:{stack}"
    screen.say(f"a shell in a new container of {reference}; what is changed there ends with it; `exit` leaves it")
    args, environment = in_container(reference, service, results)
    os.execvpe(args[0], args, environment)  # noqa: S606 (an argument list; this process becomes that client)


def in_container(reference: str, service: str, results: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the client that starts a shell in a container of this image."""
    from dgxcert.container import engine, handover, hub_token, limits, proxies
    from dgxcert.plan import suite

    results.mkdir(parents=True, exist_ok=True)  # or the engine would make it, as root
    args = [*engine.compose(), "-p", "dgxcert", "-f", str(suite.root() / "compose.yaml")]
    args += ["run", "--rm", service, "shell"]
    given = handover.Handover(hub_token.for_container(), proxies.find())
    settings = {
        **limits.read(FLOOR_GIB),
        "DGXCERT_IMAGE": reference,
        "DGXCERT_UID": str(os.getuid()),
        "DGXCERT_GID": str(os.getgid()),
        "DGXCERT_RESULTS": str(results.resolve()),
        "DGXCERT_EXCHANGE": str(handover.offer_after_exec(given)),
        "HF_TOKEN_FILE": "",
    }
    return args, engine.environment(**settings)
