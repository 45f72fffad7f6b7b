"""The command that builds the container image."""

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import BaseOption, BuildOption, ImageOption, StackOption
from dgxcert.cli.usage.declaration import command

commands = typer.Typer()


@command(commands, group="validate", example="dgxcert image --stack current")
def image(
    stack: StackOption = "course",
    base: BaseOption = "",
    name: ImageOption = "",
    build: BuildOption = True,
) -> None:
    """Build the container image, or reuse the matching one.

    An image matches that was made from this checkout, stack and base.
    """
    from dgxcert.container import builder

    built = builder.ensure(name or f"dgxcert:{stack}", stack, base, build=build, show=screen.say)
    screen.say(f"{built.reference} {built.id}")
