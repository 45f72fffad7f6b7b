"""`dgxcert setup`: what an environment needs for work outside the container, as commands to type. It runs none."""

import sys
from typing import Annotated

import typer

from dgxcert.cli import screen
from dgxcert.cli.usage.declaration import command

INTACT = {
    False: "Every file of it is as its wheel lists it.",
    True: "It is not as its wheel lists it, so that it certifies nothing: {reason}",
    None: "It cannot be told whether it is as it was released, so that it certifies nothing: {reason}",
}

commands = typer.Typer()


@command(commands, group="validate", example="dgxcert setup --stack current")
def setup(
    stack: Annotated[str, typer.Option(help="Which stack of Hugging Face packages: course or current.")] = "course",
) -> None:
    """Say what to install for work outside the container.

    A run in the container needs nothing more.
    """
    from dgxcert.container import builder
    from dgxcert.plan import suite

    ours = suite.identity(suite.root())
    screen.say(f"dgxcert {ours.version}; its suite has SHA-256 {ours.sha256}")
    if not ours.installed:
        of_stack = "" if stack == "course" else f" STACK={stack}"
        screen.say(f"This is a clone, which sets up its own environment: make setup{of_stack}")
        return
    lock = builder.lock_of(stack)
    pip = f"{sys.executable} -m pip install"
    for line in (
        INTACT[ours.modified].format(reason=ours.reason),
        f"It is installed in {sys.prefix}. In the container (dgxcert validate) it needs nothing more than that:",
        f"  {pip} 'DGXCERT.whl[host]'",
        "Outside of it, where a run certifies nothing, type these:",
        f"  {pip} torch    # the build for your GPU; no lock of dgxcert pins it here",
        f"  {pip} --no-deps --require-hashes -r {lock}",
        "To restore dgxcert itself, install its wheel again:",
        f"  {pip} --force-reinstall --no-deps DGXCERT.whl",
    ):
        screen.say(line)
