"""The next step after a run: the one command that fits how it ended, as it is typed here."""

import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from dgxcert.judgement.requirement import Tier
from dgxcert.judgement.verdict import Verdict
from dgxcert.machine.runtime import REHEARSAL, Runtime
from dgxcert.outcome import Outcome
from dgxcert.plan import suite
from dgxcert.plan.options import Options, Weights
from dgxcert.plan.spelling import spelled
from dgxcert.record import run_folders
from dgxcert.record.run import Run
from dgxcert.report.words import HOW_TO_REHEARSE, open_results, rehearse_hint

MOST_NAMED = 4
"""Failures that are measured again by name; where there are more, their report is read first."""
RESULTS = "results"
KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
"""The names that ssh-keygen gives to keys, the one that it makes today first."""


@dataclass(frozen=True)
class Here:
    """What of a run can be done here and now."""

    waits: bool = False
    """It can be resumed, and something would be measured."""
    ours: bool = True
    """This suite made it, so that it can be signed."""
    same_machine: bool = True
    """It is a run of this machine."""


def next_step(run: Run, folder: str, here: Here) -> str:
    """What to do next, and its command."""
    at = "" if here.same_machine else f", on {run.machine.hostname}"
    if rehearse_hint(run):
        text = HOW_TO_REHEARSE
    elif run.judgement.verdict is Verdict.REJECTED:
        text = _fix(run, folder, at)
    elif here.waits:
        text = f"To measure what is left: make validate RESUME={shlex.quote(folder)}{_stack(run)}"
    elif run.judgement.verdict is Verdict.INCONCLUSIVE:
        text = f"Once that is mended, to begin again{at}: {_validate(run.options, folder, run.options.only)}"
    elif signed := run_folders.signed_file(Path(folder)):
        text = f"To see what has changed since{at}: make drift FILE={shlex.quote(str(signed))}"
    elif run.judgement.verdict is Verdict.CERTIFIED and here.ours:
        text = f"To sign it: make sign RUN={shlex.quote(folder)} KEY={_key()}"
    elif run.judgement.verdict is Verdict.PARTIAL:
        text = f"To run all of it{at}: {_validate(run.options, folder)}"
    elif run.profile.name == REHEARSAL:
        text = "To certify a DGX, on that machine: make validate"
    else:
        text = _read(folder)
    return _typed(text)


def _typed(text: str) -> str:
    """The command as it is typed here: with make in the folder of a clone, else by the name or path of this program."""
    if _in_clone():
        return text
    words = spelled(text, installed=True)
    return words if shutil.which("dgxcert") else re.sub(r"(?<=: )dgxcert(?= )", lambda _: _program(), words)


def _in_clone() -> bool:
    """Whether the current folder is the clone that this dgxcert runs from, so that make finds its Makefile."""
    try:
        return not suite.is_installed() and Path.cwd() == suite.PACKAGE.parents[1]
    except OSError:  # the current folder was removed
        return False


def _program() -> str:
    """This program as it was called, for a shell that does not find it by its name."""
    called = Path(sys.argv[0])
    if called.name == "dgxcert" and called.exists():
        return shlex.quote(str(called.absolute()))
    return f"{shlex.quote(sys.executable)} -m dgxcert"


def _stack(run: Run) -> str:
    """What make needs to find the environment of a run that is continued; the command itself takes it from the run."""
    usual = not _in_clone() or run.options.stack == "course"
    return "" if usual else f" STACK={shlex.quote(run.options.stack)}"


def _fix(run: Run, folder: str, at: str) -> str:
    """Measure again what failed; where that is much, read about it first."""
    failed = [result for result in open_results(run) if result.outcome is Outcome.FAILED]
    names = tuple(dict.fromkeys(result.key for result in failed))
    if len(names) > MOST_NAMED:
        names = tuple(dict.fromkeys(result.id for result in failed))
    if len(names) > MOST_NAMED:
        return _read(folder)
    return f"Once that is mended, to measure it again{at}: {_validate(run.options, folder, names)}"


def _validate(options: Options, folder: str, only: tuple[str, ...] = ()) -> str:
    """The command of a new run like this one, of `only` these requirements.

    >>> _validate(Options(profile="cpu", runtime="native"), "results/run", ("DECODE-SPEED[fp32-stock-single]",))
    "make validate PROFILE=cpu RUNTIME=native ONLY='DECODE-SPEED[fp32-stock-single]'"
    """
    results = str(Path(folder).parent) if folder else RESULTS
    chosen_here = options.runtime is Runtime.NATIVE and options.runtime_because
    usual = chosen_here or (options.runtime is Runtime.DOCKER and options.profile != REHEARSAL)
    burn_in = options.tier is Tier.BURN_IN
    values = {
        "PROFILE": "" if options.profile == "auto" else options.profile,
        "TIER": options.tier.value if burn_in or (only and options.tier is not Tier.STANDARD) else "",
        "MINUTES": f"{options.minutes:g}" if burn_in else "",
        "RUNTIME": "" if usual else options.runtime.value,
        "NO_BUILD": "" if options.build or options.runtime is Runtime.NATIVE else "1",
        "STACK": "" if options.stack == "course" else options.stack,
        "IMAGE": options.image,
        "BASE_IMAGE": options.base,
        "WEIGHTS": "" if options.weights is Weights.SEEDED else options.weights.value,
        "SITE": options.site,
        "CHECKS": options.checks,
        "RESULTS": "" if results == RESULTS else results,
        "ONLY": ",".join(only),
    }
    return " ".join(["make validate", *(f"{name}={shlex.quote(value)}" for name, value in values.items() if value)])


def _read(folder: str) -> str:
    """Open the report in a browser, where there is a screen for one; else read the summary."""
    has_screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    page = Path(folder) / "report.html"
    if has_screen and shutil.which("xdg-open") and page.exists():
        return f"To read all of it: xdg-open {shlex.quote(str(page))}"
    return f"To read all of it: less {shlex.quote(f'{folder}/summary.md')}"


def _key() -> str:
    """The key to sign with: the first usual one that is there, or the one that ssh-keygen makes."""
    folder = Path("~/.ssh").expanduser()
    return f"~/.ssh/{next((name for name in KEYS if (folder / name).exists()), KEYS[0])}"
