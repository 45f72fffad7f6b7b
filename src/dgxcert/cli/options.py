"""Options and arguments that several commands share, each declared once; the default stays with the command."""

import math
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dgxcert.cli.usage import completion
from dgxcert.console import HIDDEN, on_one_line
from dgxcert.machine.runtime import RuntimeChoice
from dgxcert.outcome import CannotStart

RESULTS = Path("results")
"""The default of `ResultsOption` and of `NewResultsOption`."""

LONGEST = 4096
"""Characters of one typed word: Linux knows no longer path."""
MOST_MINUTES = 7 * 24 * 60.0
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,511}")
"""What an image or a stack can be called; never an option of docker's."""


def require_plain(words: Sequence[str]) -> None:
    """Raise CannotStart for a typed word that steers a terminal, is no UTF-8, or is longer than any path.

    A newline in the name of a folder would begin a line of a report, and a byte that is no UTF-8 fits into no record.
    """
    for word in words:
        if found := HIDDEN.search(word) or re.search("\n", word):
            raise CannotStart(
                f"wanted words that can be printed, found {on_one_line(found.group())} in {_named(word)}.",
                "Leave it out, or rename the file.",
            )
        if len(word) > LONGEST:
            raise CannotStart(f"wanted words of at most {LONGEST} characters, found {len(word)}.", "Shorten it.")


def _named(word: str) -> str:
    return f"'{on_one_line(word)[:60]}'"


def existing(path: str) -> str:
    """A path that is there, or "". Raises CannotStart."""
    try:
        if path:
            os.stat(path)
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}.", "Name another folder.") from error
    return path


def _existing(context: typer.Context, folder: Path) -> Path:
    """A folder that holds results; without runs it need not be there, unless it was typed. Raises CannotStart."""
    source = context.get_parameter_source("results")
    if source is not None and source.name == "COMMANDLINE":
        try:
            folder.stat()
        except OSError as error:
            raise CannotStart(
                f"--results {folder} cannot be read: {error.strerror}.", "Name another folder."
            ) from error
    return folder


def _results(folder: Path) -> Path:
    """A folder for results that can be written to, or made. Raises CannotStart, before anything is measured."""
    place = folder
    try:
        while not os.path.lexists(place) and place != place.parent:
            place = place.parent
        is_folder = stat.S_ISDIR(os.stat(place).st_mode)
        (folder / "run").exists()  # a name that is too long is refused by the system only when it is looked for
    except OSError as error:
        raise CannotStart(f"--results {folder} cannot be used: {error.strerror}.", "Name another folder.") from error
    if not is_folder:
        raise CannotStart(f"--results {folder}: {place} is not a folder.", "Name another with --results.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise CannotStart(f"--results {folder}: you may not write to {place}.", "Name another with --results.")
    return folder


def _minutes(value: float) -> float:
    """A number of minutes that ends. Raises CannotStart."""
    if not (math.isfinite(value) and 0.1 <= value <= MOST_MINUTES):
        raise CannotStart(f"--minutes: wanted 0.1 to {MOST_MINUTES:g}, found {value:g}.", "Give a number of minutes.")
    return value


def _reference(value: str) -> str:
    """The name of an image or a stack, or "". Raises CannotStart."""
    if value and not REFERENCE.fullmatch(value):
        raise CannotStart(
            f"wanted the name of an image or a stack, found {_named(value)}.", "Check --image and --base."
        )
    return value


def only_of(only: str) -> tuple[str, ...]:
    """The names in --only.

    >>> only_of("GPU-PRESENT, stack")
    ('GPU-PRESENT', 'stack')

    Raises CannotStart where something was given and it names nothing.
    """
    names = tuple(name.strip() for name in only.split(",") if name.strip())
    if only and not names:
        raise CannotStart(f"--only {only[:60]!r} names nothing.", "`dgxcert list` shows every requirement and group.")
    return names


RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Run folder, run id, or `latest`.", autocompletion=completion.runs)
]
SignedArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="certificate.json in its run folder; or run id, or `latest`.",
        autocompletion=completion.runs,
    ),
]
ProfileOption = Annotated[
    str,
    typer.Option(help="Profile name or file; `auto` selects by the GPUs found.", autocompletion=completion.profiles),
]
OnlyOption = Annotated[
    str, typer.Option(help="Requirements or groups to run, separated by commas.", autocompletion=completion.only)
]
ResumeOption = Annotated[
    str | None, typer.Option(metavar="RUN", help="Continue a run that ended early.", autocompletion=completion.runs)
]
ResultsOption = Annotated[Path, typer.Option(help="Folder that holds the run folders.", callback=_existing)]
NewResultsOption = Annotated[Path, typer.Option(help="Folder that holds the run folders.", callback=_results)]
RuntimeOption = Annotated[
    RuntimeChoice, typer.Option(help="Where to work: in the container (docker) or in this environment.")
]
StackOption = Annotated[
    str,
    typer.Option(
        help="The stack to install in the image: course or current.",
        callback=_reference,
        autocompletion=completion.stacks,
    ),
]
ImageOption = Annotated[str, typer.Option(help="Name of the image; empty means dgxcert:STACK.", callback=_reference)]
BaseOption = Annotated[str, typer.Option(help="The base image; empty means the pinned one.", callback=_reference)]
BuildOption = Annotated[bool, typer.Option(help="Build the image if it does not match this checkout.")]
MinutesOption = Annotated[
    float,
    typer.Option(callback=_minutes, help="Minutes of burn-in, of all GPUs at once, for that tier; at most 10,080."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would run, how long it takes, what it needs.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show every requirement, and whole remedies.")]
TimesOption = Annotated[bool, typer.Option("--times", help="Show on what each requirement spent its seconds.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show only the verdict and what did not pass.")]
