"""Wrong usage: what a typed word that no command takes is answered with, on one line with what was likely meant."""

import os
import re
from collections.abc import Iterable
from enum import EnumType
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from dgxcert import near_miss
from dgxcert.files import near_paths

MESSAGE_CHARS = 500


def complaint(error: typer.TyperException, words: list[str]) -> str:
    """What was wrong with the words of a command line, what was likely meant, and where its help is.

    typer's exceptions are private but for their base; what they are is told by what they hold.
    """
    context = getattr(error, "ctx", None)
    message = shortened(error.format_message().replace("Value error, ", "")).rstrip(".")
    command = context.command if context else None
    path = context.command_path if context else " ".join(["dgxcert", *words[:1]])
    if option := getattr(error, "option_name", ""):
        message = _of_option(error, option, message, command, words)
    elif (parameter := getattr(error, "param", None)) is not None and message.startswith("Missing"):
        name = parameter.display_name_raw if parameter.param_type_name == "argument" else parameter.opts[-1]
        message = f"Missing {name}, for example: {command.epilog or path}" if command else message
        return f"{message}. All options: {path} -h"
    elif chosen := re.search(r"'([^']*)' is not one of (.*)$", message):
        message += _meant(near_miss.closest(chosen[1], re.findall(r"'([^']+)'", chosen[2])))
    elif extra := re.search(r"extra argument\(s\) \((\S+)", message):
        message = f"`{path}` takes no further argument, found {extra[1].removesuffix(')')!r}"
        message += _meant(_instead(extra[1].removesuffix(")"), command))
    return f"{message.removesuffix('.')}{'' if message.endswith('?') else '.'} All options: {path} -h"


def _of_option(error: Any, option: str, message: str, command: Any, words: list[str]) -> str:
    """What is said to an option that a command does not have, or that lacks its value."""
    if not hasattr(error, "possibilities"):
        return message
    typed = next((word for word in words if word.startswith(option)), option).partition("=")[0]
    if isinstance(command, TyperCommand):
        return f"There is no option {typed[:60]!r}{_meant(_near_options(typed, command))}"
    owners = [name for name, each in getattr(command, "commands", {}).items() if typed in options(each)]
    if owners:
        return f"{typed} is an option of {', '.join(owners)}, and is written after the command"
    return f"There is no option {typed[:60]!r}{_meant(_near_options(typed, command))}"


def _near_options(typed: str, command: Any) -> list[str]:
    """The options that are like a wrong one, compared without their dashes: `--only` is not like `--json`."""
    names = {option.lstrip("-"): option for option in options(command) if option.startswith("--")}
    return [names[name] for name in near_miss.closest(typed.lstrip("-"), names)]


def options(command: Any) -> list[str]:
    """Every option that a command has, as it is typed."""
    declared = [each for each in command.params if isinstance(each, TyperOption) and not each.hidden]
    return ["-h", "--help", *(word for each in declared for word in (*each.opts, *each.secondary_opts))]


def _instead(word: str, command: Any) -> Iterable[str]:
    """The option that is likely meant by a word without dashes: `PROFILE=cpu`, as make takes it, `profile`, `quick`."""
    if takes := [each.opts[0] for each in command.params if word in _choices(each)]:
        return [f"{takes[0]} {word}"]
    name, _, value = word.partition("=")
    known = [option for option in options(command) if option.startswith("--")]
    close = near_miss.closest(f"--{name}", known)
    return [f"{option} {value}".rstrip() for option in close[:1]]


def _choices(option: Any) -> list[str]:
    """The values of an option that takes one of a few."""
    annotation = getattr(getattr(option, "type_descriptor", None), "annotation", None)
    members: Iterable[Any] = annotation if isinstance(annotation, EnumType) else ()
    return [str(each.value) for each in members]


def _meant(close: Iterable[str]) -> str:
    """`; did you mean '--profile'?`, or nothing."""
    words = [repr(each) for each in close]
    return f"; did you mean {' or '.join(words)}?" if words else ""


def of_missing(error: BaseException, words: list[str]) -> tuple[str, ...]:
    """`Did you mean results/A?` where an error comes from a path that was typed, is missing, and has a near one."""
    cause = error
    while not isinstance(cause, FileNotFoundError | NotADirectoryError):
        if cause.__cause__ is None:
            return ()
        cause = cause.__cause__
    missing = Path(os.path.abspath(cause.filename or ""))
    typed = {Path(os.path.expanduser(part)) for word in words for part in (word, word.partition("=")[2]) if part}
    named = [path for path in typed if Path(os.path.abspath(path)) in (missing, *missing.parents)]
    near = [str(each) for path in named for each in near_paths.closest(path)]
    return (f"Did you mean {' or '.join(near)}?",) if near else ()


def shortened(message: str) -> str:
    """A message that repeats what was typed, which may be a megabyte: its beginning and its end.

    >>> len(shortened("x" * 1_000_000))
    501
    """
    return message if len(message) <= MESSAGE_CHARS else f"{message[:250]}…{message[-250:]}"
