"""Commands that only print: all requirements, one of them explained, profiles, and a finished run."""

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import (
    RESULTS,
    JsonOption,
    QuietOption,
    ResultsOption,
    RunArgument,
    TimesOption,
    VerboseOption,
)
from dgxcert.cli.usage import completion
from dgxcert.cli.usage.declaration import command
from dgxcert.console import print_line
from dgxcert.outcome import CannotStart

if TYPE_CHECKING:
    from dgxcert.certificate.consistency import Loaded
    from dgxcert.report.terminal import Here

commands = typer.Typer()


@command(commands, name="list", group="look", example="dgxcert list")
def list_(json_: JsonOption = False) -> None:
    """List every requirement with its group and tier."""
    from dgxcert.cli.json_output import document, requirements
    from dgxcert.cli.usage import kept_catalogue
    from dgxcert.plan import suite
    from dgxcert.report import requirement_table

    catalogue = kept_catalogue.read(suite.root())
    if json_:
        document.say(requirements.of(catalogue))
    else:
        requirement_table.show(catalogue, screen.console())


@command(commands, group="look", example="dgxcert explain DECODE-SPEED --profile h200")
def explain(
    requirement: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Requirement by id or key, such as DECODE-SPEED.", autocompletion=completion.requirements
        ),
    ],
    profile: Annotated[str, typer.Option(help="Profile by name or file; without it, each that ships.")] = "",
) -> None:
    """Explain a requirement: why, limits, remedy, known faults."""
    from dgxcert.cli.usage import kept_catalogue
    from dgxcert.plan import explanation, suite
    from dgxcert.profiles import profile as shipped
    from dgxcert.report.reference import explanation as on_terminal
    from dgxcert.room.pairs import requirements as pairs

    root = suite.root()
    names = [profile] if profile else shipped.names()
    if of_pairs := pairs.find(requirement):
        loaded = [shipped.load(name) for name in names]
        excluded = {each.name: why for each in loaded if (why := each.not_applicable_pair.get(of_pairs.id, ""))}
        limits = {each.name: pairs.limits(of_pairs, each) for each in loaded}
        on_terminal.show_pair(of_pairs, limits, excluded, screen.console())
        return
    explained = explanation.of(requirement, kept_catalogue.read(root), names, root)
    on_terminal.show(explained, screen.console())


@command(commands, group="look", example="dgxcert profiles show h200")
def profiles(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="show NAME", help="Show one: a profile by name, or a file, a site profile's too."),
    ] = None,
) -> None:
    """List the profiles, or show one with every limit."""
    from dgxcert.profiles import profile, site
    from dgxcert.report.reference import profiles as on_terminal

    name = _to_show(words or [])
    if not name:
        on_terminal.show_all(map(profile.load, profile.names()), screen.console())
        return
    path = Path(name)
    tightened = site.tightens(path) if path.suffix in {".yaml", ".yml"} else None
    loaded = profile.load(tightened or name)
    if tightened:
        loaded = site.apply(loaded, path)
    on_terminal.show(loaded, profile.quantities(tightened or name), screen.console())


def _to_show(words: list[str]) -> str:
    """The profile that is to be shown, "" for all of them.

    >>> _to_show([]), _to_show(["show", "h200"]), _to_show(["h200"])
    ('', 'h200', 'h200')
    """
    if words == ["show"]:
        raise CannotStart("show: wanted the name of a profile.", "Name one: dgxcert profiles show h200")
    names = words[1:] if words[:1] == ["show"] else words
    if len(names) > 1:
        raise CannotStart(f"wanted one profile, found {len(names)}.", "Name one: dgxcert profiles show h200")
    return names[0] if names else ""


@command(commands, group="look", example="dgxcert show latest")
def show(
    run: RunArgument,
    results: ResultsOption = RESULTS,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    times: TimesOption = False,
    json_: JsonOption = False,
) -> None:
    """Show a finished run again.

    Only if it is what its record proves. The exit code is that of the run. With --times: on what it spent its seconds.
    """
    from dgxcert.certificate import consistency
    from dgxcert.cli.json_output import document
    from dgxcert.cli.json_output import run as shown_run
    from dgxcert.history import run_names
    from dgxcert.report import terminal

    detail = screen.detail(verbose=verbose, quiet=quiet)
    folder = run_names.resolve(run, results)
    loaded = consistency.load(folder, datetime.now(UTC))
    if json_:
        document.say(shown_run.of(loaded.run, folder, loaded.unchecked))
        raise typer.Exit(loaded.run.judgement.exit_code)
    console = screen.console()
    if times:
        terminal.show_times(loaded.run, console, verbose=verbose)
        raise typer.Exit(loaded.run.judgement.exit_code)
    terminal.show(loaded.run, console, str(folder), detail=detail, here=_here(loaded, folder))
    if loaded.unchecked:
        print_line(console, f"not checked: {loaded.unchecked}", style="yellow")
    raise typer.Exit(loaded.run.judgement.exit_code)


def _here(loaded: "Loaded", folder: Path) -> "Here":
    """What of a run can be done here and now."""
    from dgxcert.probes.host import boot
    from dgxcert.report.terminal import Here
    from dgxcert.runner import resumption

    ours, same_machine = not loaded.unchecked, loaded.run.machine.hostname == socket.gethostname()
    waits = ours and same_machine and resumption.would_measure(folder, boot.read())
    return Here(waits=waits, ours=ours, same_machine=same_machine)
