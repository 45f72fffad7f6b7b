"""The command that builds the container image."""

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import BaseOption, BuildOption, ImageOption, StackOption

commands = typer.Typer()


@commands.command()
def image(
    stack: StackOption = "course",
    base: BaseOption = "",
    name: ImageOption = "",
    build: BuildOption = True,
) -> None:
    """Build the container image, or reuse one that matches this checkout."""
    from dgxcert.container import builder

    built = builder.ensure(name or f"dgxcert:{stack}", stack, base, build=build, show=screen.say)
    screen.say(f"{built.reference} {built.id}")
