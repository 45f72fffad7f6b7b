"""The application: all groups of commands under one name, and what an error of any of them prints and exits with."""

import atexit
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from dgxcert.cli import (
    certificate,
    compare,
    config,
    doctor,
    history,
    hub,
    image,
    listing,
    room,
    screen,
    setup,
    shell,
    validate,
)
from dgxcert.cli.exit_code import CannotRun
from dgxcert.cli.options import require_plain
from dgxcert.cli.room import pair_end, pair_link
from dgxcert.cli.usage import version, wrong_words
from dgxcert.cli.usage.declaration import Commands
from dgxcert.console import on_one_line, print_line
from dgxcert.outcome import CannotStart
from dgxcert.plan.spelling import for_make, spelled
from dgxcert.redaction import output
from dgxcert.runner import interrupts

CALLER = "DGXCERT_CALLER"
"""The variable by which the Makefile says that it, and no person, typed the command."""

app = typer.Typer(
    cls=Commands,
    help="Certify NVIDIA DGX machines for Hugging Face work: checks, benchmarks, and a verdict that a lab can sign.",
    epilog="dgxcert validate --tier quick",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
app.add_typer(validate.commands)
app.add_typer(doctor.commands)
app.add_typer(image.commands)
app.add_typer(shell.commands)
app.add_typer(setup.commands)
app.add_typer(listing.commands)
app.add_typer(history.commands)
app.add_typer(compare.commands)
app.add_typer(hub.commands)
app.add_typer(certificate.commands)
app.add_typer(room.commands, rich_help_panel="validate")
app.add_typer(pair_end.commands)
app.add_typer(pair_link.commands)


@app.callback()
def start(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=version.show, help="Show version, commit and suite.")
    ] = False,
) -> None:
    """Say what there is where no command was given."""
    if context.invoked_subcommand is None:
        print_line(screen.console(sys.stderr), context.get_help())
        raise typer.Exit(CannotRun.CANNOT_START)  # 0 would read as a certificate where a script forgets its command


def main() -> None:
    """Run the command; whatever keeps it from starting is one clear line and exit code 3."""
    output.install()
    # Python's own shutdown takes a while. A signal during it would replace the exit code by death by that signal.
    atexit.register(interrupts.ignore)
    with interrupts.heeded() as stop:
        code = _code(stop)
        # CPython remembers a KeyboardInterrupt that passed through exec() of a text, as in a named tuple, even where it
        # was caught, and ends `python -m` by SIGINT: the next exec() of a text makes it forget.
        exec("")  # noqa: S102 (nothing is run)
        if _called_by_make() and (code or 0) > 1:
            print_line(screen.console(sys.stderr), f"The next line is how make passes exit code {code} on:")
        sys.exit(code)


def _code(stop: interrupts.Stop) -> int:
    """Run the command, and say what kept it from its end; returns its exit code."""
    settings = config.Config()
    try:
        require_plain(sys.argv[1:])
        settings = config.read(Path(), sys.argv[1:])
        group: Any = typer.main.get_command(app)
        defaults = config.default_map(settings, group.commands)
        if signers := settings.signers_for(sys.argv[1:]):
            print_line(screen.console(sys.stderr), signers)
        code: int = group.main(prog_name="dgxcert", standalone_mode=False, obj=settings, default_map=defaults)
    except typer.TyperException as error:
        return _fail(wrong_words.complaint(error, sys.argv[1:]))
    except CannotStart as error:
        near = wrong_words.of_missing(error, sys.argv[1:])
        return _fail(f"{CannotStart(error.problem, *near, *error.remedy)}{settings.origin(str(error))}")
    except (KeyboardInterrupt, typer.Abort):
        code = CannotRun.INTERRUPTED
    except SystemExit as ended:  # typer's answer to a closed pipe is exit code 1, which means REJECTED here
        return CannotRun.CANNOT_START if ended.code else 0
    except OSError as error:  # the file system ends what a command was doing: no bug of dgxcert's own
        return _fail(" ".join((_named(error), *wrong_words.of_missing(error, sys.argv[1:]))))
    except Exception:  # a bug of dgxcert's own: Python's exit code for it is 1, which means REJECTED here
        if stop.has_just_raised:  # pydantic reports one that meets it while it builds a model as an error of the model
            return _fail("interrupted.")
        print_line(screen.console(sys.stderr), traceback.format_exc())
        return CannotRun.CANNOT_START
    return _fail("interrupted.") if code == CannotRun.INTERRUPTED else code


def _called_by_make() -> bool:
    return os.environ.get(CALLER) == "make"


def _fail(message: str) -> int:
    message = spelled(message)
    if _called_by_make():
        message = for_make(message, shlex.quote(sys.argv[0]))
    with interrupts.held():  # a second Ctrl-C does not take the message away
        print_line(screen.console(sys.stderr), f"dgxcert: {on_one_line(message)}")
    return CannotRun.CANNOT_START


def _named(error: OSError) -> str:
    """What the system refused, with the file.

    >>> _named(FileNotFoundError(2, "No such file or directory", "results/a"))
    'results/a: No such file or directory.'
    """
    named = f"{error.filename}: " if error.filename is not None else ""
    return f"{named}{error.strerror or error}."
