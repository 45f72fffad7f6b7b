"""The application: all groups of commands under one name, and what an error of any of them prints and exits with."""

import atexit
import signal
import sys
import traceback

import typer

from dgxcert import __doc__ as about
from dgxcert.cli import certificate, compare, history, hub, image, listing, screen, shell, validate
from dgxcert.cli.exit_code import CannotRun
from dgxcert.console import on_one_line, print_line
from dgxcert.outcome import CannotStart

app = typer.Typer(help=about, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
app.add_typer(validate.commands)
app.add_typer(listing.commands)
app.add_typer(compare.commands)
app.add_typer(hub.commands)
app.add_typer(image.commands)
app.add_typer(shell.commands)
app.add_typer(history.commands)
app.add_typer(certificate.commands)


def main() -> None:
    """Run the command; whatever keeps it from starting is one clear line and exit code 3."""
    # Python's own shutdown takes a while. Another Ctrl-C during it would replace the exit code by death by a signal.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        code = app(standalone_mode=False)
        if code == CannotRun.INTERRUPTED:
            begun = " A run that had begun can be continued with --resume." if "validate" in sys.argv else ""
            code = _fail(f"interrupted.{begun}")
    except typer.TyperException as error:
        message = error.format_message().rstrip(".")
        code = _fail(f"{message}. Try `dgxcert --help` or `dgxcert COMMAND --help`.")
    except CannotStart as error:
        code = _fail(str(error))
    except Exception:  # a bug of dgxcert's own: Python's exit code for it is 1, which means REJECTED here
        print_line(screen.console(sys.stderr), traceback.format_exc())
        code = CannotRun.CANNOT_START
    sys.exit(code)


def _fail(message: str) -> int:
    print_line(screen.console(sys.stderr), f"dgxcert: {on_one_line(message)}")
    return CannotRun.CANNOT_START
