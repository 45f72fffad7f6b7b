"""Commands: how one is declared, with its group and an example, and how its help shows them.

A module of this package holds `commands = typer.Typer()` and declares each command so:

    @command(commands, group="look", example="dgxcert show results/2026-11-24T07-24-20Z-spark-07")
    def show(run: RunArgument) -> None:
        "Show a finished run again."
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from dgxcert import near_miss
from dgxcert.outcome import CannotStart

Group = Literal["validate", "look", "keep", "sign"]
GROUPS: dict[Group, str] = {
    "validate": "Validate a machine",
    "look": "Look at requirements, runs and the Hub",
    "keep": "Keep and hand on runs",
    "sign": "Sign and verify",
}
"""The groups of the help in its order, each with its heading."""

SUMMARY_CHARS = 60
"""A summary of at most this length stands beside its command on one line of 80 columns."""

ELSEWHERE = {
    "rehearse": "dgxcert validate --profile cpu",
    "quick": "dgxcert validate --tier quick",
    "burn-in": "dgxcert validate --tier burn-in",
    "help": "dgxcert -h",
    "version": "dgxcert --version",
}
"""What is no command, but a target of make or a command of other programs: what to type instead."""

Function = TypeVar("Function", bound=Callable[..., Any])


def command(commands: typer.Typer, *, group: Group, example: str, name: str = "") -> Callable[[Function], Function]:
    """Declare a command: its summary is the first line of the function's docstring, `example` a line to type."""
    return commands.command(name or None, cls=Command, rich_help_panel=group, epilog=example)


def summary(declared: Any) -> str:
    """The first line of a command's help."""
    first, *_ = (declared.help or "").splitlines() or [""]
    return str(first)


def is_hidden(declared: Any) -> bool:
    """Whether a command is for dgxcert itself, and no help names it."""
    return bool(declared.hidden)


class Command(TyperCommand):
    """A command whose help ends with its example, as it is typed, and whose usage names arguments as they are."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the parent's signature)
        """`[OPTIONS] RUN [OTHER]`."""
        return ["[OPTIONS]", *(_usage(each) for each in self.params if isinstance(each, TyperArgument))]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (the parent's signature)
        """The example, on one line: it is to be copied."""
        _write_example(self.epilog, formatter)


def _usage(argument: TyperArgument) -> str:
    name = argument.display_name_raw + ("..." if argument.nargs != 1 else "")
    return name if argument.required else f"[{name}]"


def _write_example(example: str | None, formatter: Any) -> None:
    if example:
        with formatter.section("Example"):
            formatter.write(f"  {example}\n")


class Commands(TyperGroup):
    """All commands: their help by group, and a wrong name answered with the right one."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (the parent's signature)
        """One section for each group, one line for each command."""
        shown = {name: each for name, each in self.commands.items() if not is_hidden(each)}
        width = max(map(len, shown), default=0)
        for group, heading in GROUPS.items():
            rows = [(name.ljust(width), summary(each)) for name, each in shown.items() if group_of(each) == group]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (the parent's signature)
        """The example, on one line: it is to be copied."""
        _write_example(self.epilog, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the first word names. Raises CannotStart where none has this name."""
        word = args[0]
        if not ctx.resilient_parsing and word not in self.commands:
            raise CannotStart(f"There is no command {word[:60]!r}.", *self._instead(word), "All commands: dgxcert -h")
        return super().resolve_command(ctx, args)

    def _instead(self, word: str) -> tuple[str, ...]:
        known = [name for name, each in self.commands.items() if not is_hidden(each)]
        others = near_miss.closest(word, ELSEWHERE)
        if word not in ELSEWHERE and near_miss.closest(word, known):
            return (near_miss.sentence(word, known),)
        return tuple(f"Type: {ELSEWHERE[other]}." for other in others[:1])


def leaves(group: Any, before: str = "") -> dict[str, Any]:
    """All commands that are not hidden, those of a group by both words: `room run`."""
    found: dict[str, Any] = {}
    for name, each in group.commands.items():
        if isinstance(each, TyperGroup):
            found |= leaves(each, f"{before}{name} ")
        elif not is_hidden(each):
            found[f"{before}{name}"] = each
    return found


def group_of(declared: Any) -> str | None:
    """The group that a command was declared with."""
    return getattr(declared, "rich_help_panel", None)
