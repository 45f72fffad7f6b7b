"""The application: all groups of commands under one name, and what an error of any of them prints and exits with."""

import atexit
import sys
import traceback
from pathlib import Path

import typer

from dgxcert import __doc__ as about
from dgxcert.cli import certificate, compare, config, history, hub, image, listing, screen, setup, shell, validate
from dgxcert.cli.exit_code import CannotRun
from dgxcert.cli.options import require_plain
from dgxcert.console import on_one_line, print_line
from dgxcert.outcome import CannotStart
from dgxcert.plan.spelling import spelled
from dgxcert.redaction import output
from dgxcert.runner import interrupts

MESSAGE_CHARS = 500

app = typer.Typer(help=about, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
app.add_typer(validate.commands)
app.add_typer(listing.commands)
app.add_typer(compare.commands)
app.add_typer(hub.commands)
app.add_typer(image.commands)
app.add_typer(shell.commands)
app.add_typer(setup.commands)
app.add_typer(history.commands)
app.add_typer(certificate.commands)


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
        sys.exit(code)


def _code(stop: interrupts.Stop) -> int:
    """Run the command, and say what kept it from its end; returns its exit code."""
    settings = config.Config()
    try:
        require_plain(sys.argv[1:])
        settings = config.read(Path(), sys.argv[1:])
        commands = typer.main.get_group(app).commands
        defaults = config.default_map(settings, commands)
        if signers := settings.signers_for(sys.argv[1:]):
            print_line(screen.console(sys.stderr), signers)
        code: int = app(standalone_mode=False, obj=settings, default_map=defaults)
    except typer.TyperException as error:
        message = shortened(error.format_message()).rstrip(".")
        return _fail(f"{message}. Try `dgxcert --help` or `dgxcert COMMAND --help`.")
    except CannotStart as error:
        return _fail(f"{error}{settings.origin(str(error))}")
    except (KeyboardInterrupt, typer.Abort):
        code = CannotRun.INTERRUPTED
    except SystemExit:  # typer's answer to a closed pipe is exit code 1, which means REJECTED here
        return CannotRun.CANNOT_START
    except OSError as error:  # the file system ends what a command was doing: no bug of dgxcert's own
        return _fail(_named(error))
    except Exception:  # a bug of dgxcert's own: Python's exit code for it is 1, which means REJECTED here
        if stop.has_just_raised:  # pydantic reports one that meets it while it builds a model as an error of the model
            return _fail("interrupted.")
        print_line(screen.console(sys.stderr), traceback.format_exc())
        return CannotRun.CANNOT_START
    return _fail("interrupted.") if code == CannotRun.INTERRUPTED else code


def _fail(message: str) -> int:
    with interrupts.held():  # a second Ctrl-C does not take the message away
        print_line(screen.console(sys.stderr), f"dgxcert: {on_one_line(spelled(message))}")
    return CannotRun.CANNOT_START


def shortened(message: str) -> str:
    """A message that repeats what was typed, which may be a megabyte: its beginning and its end.

    >>> len(shortened("x" * 1_000_000))
    501
    """
    return message if len(message) <= MESSAGE_CHARS else f"{message[:250]}…{message[-250:]}"


def _named(error: OSError) -> str:
    """What the system refused, with the file.

    >>> _named(FileNotFoundError(2, "No such file or directory", "results/a"))
    'results/a: No such file or directory.'
    """
    named = f"{error.filename}: " if error.filename is not None else ""
    return f"{named}{error.strerror or error}."
