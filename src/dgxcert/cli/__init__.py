"""The `dgxcert` command: each module holds one group of commands, thin over runner, report, history and certificate."""

import os
import site
import sys
import traceback
from functools import partial
from typing import NoReturn

__all__ = ["app", "main"]

CANNOT_START = 3
"""`exit_code.CannotRun`, which may not be importable here."""


def way_out(error: BaseException) -> str:
    """The step after which dgxcert finds its own packages again, by the files that an error names and has passed."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    places = "\n".join([str(error), *files])
    named = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    if any(folder in places or os.path.realpath(folder) in places for folder in named):
        return "Packages in PYTHONPATH take the place of its own: unset PYTHONPATH"
    if site.ENABLE_USER_SITE and site.getusersitepackages() in places:
        return "Packages in your home take the place of its own: export PYTHONNOUSERSITE=1"
    if os.path.isdir(os.path.join(os.path.dirname(os.path.dirname(__file__)), "suite")):  # `suite.is_installed`
        return "Install its wheel again, with what it needs: python -m pip install --force-reinstall dgxcert-*.whl"
    return "In the checkout, restore its environment: make setup"


def _cannot_start(error: BaseException) -> NoReturn:
    first, *_ = str(error).strip().splitlines() or ["no message"]
    shown = ascii(_redacted(first))[1:-1]  # without rich, which may be what is missing
    sys.stderr.write(f"dgxcert: its own packages do not import: {type(error).__name__}: {shown}\n")
    sys.stderr.write(f"dgxcert: {way_out(error)}\n")
    sys.exit(CANNOT_START)


def _redacted(message: str) -> str:
    """A message without secrets, which an error of any package may quote."""
    try:
        from dgxcert.redaction import scrubber  # it needs the standard library alone
    except Exception:  # which may be what does not import
        return "(its message is not shown)"
    return scrubber.text(message)


def _interrupted() -> NoReturn:
    sys.stderr.write("dgxcert: interrupted.\n")
    sys.exit(CANNOT_START)


try:
    from dgxcert.cli.app import app, main
except KeyboardInterrupt:  # half of the packages are imported: nothing can be done but to say so
    main = _interrupted
except Exception as error:  # whatever a foreign typing_extensions or random.py raises; `main` reports it
    main = partial(_cannot_start, error)
