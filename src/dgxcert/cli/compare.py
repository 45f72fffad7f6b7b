"""Commands that compare runs: with another run, with a baseline, and for the limits of a profile."""

import os
import pwd
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import RESULTS, JsonOption, ResultsOption
from dgxcert.cli.usage import completion
from dgxcert.cli.usage.declaration import command
from dgxcert.console import counted, print_line
from dgxcert.outcome import CannotStart

BASELINES = RESULTS / "baselines"

FirstArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="The run to compare; of two runs, the reference.", autocompletion=completion.runs
    ),
]
SecondArgument = Annotated[
    str | None,
    typer.Argument(metavar="OTHER", help="The run to compare with the first.", autocompletion=completion.runs),
]

commands = typer.Typer()


@command(commands, group="look", example="dgxcert compare results/A results/B")
def compare(
    run: FirstArgument,
    other: SecondArgument = None,
    keep: Annotated[bool, typer.Option(help="Add RUN to the baseline of its machine and image.")] = False,
    baselines: Annotated[Path, typer.Option(help="Folder that holds the baselines.")] = BASELINES,
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Compare a run with another, or with its baseline.

    The baseline is what was kept of earlier runs of its machine and image.

    Exit code 0: nothing is slower; 1: something is slower; 2: something could not be compared.
    """
    from dgxcert.cli.json_output import comparison as compared_runs
    from dgxcert.cli.json_output import document
    from dgxcert.history import baseline, comparison, run_names
    from dgxcert.record import run as runs
    from dgxcert.record import timings
    from dgxcert.report import comparison_table

    if keep and json_:
        raise CannotStart("--keep compares nothing, so that there is nothing for --json.", "Leave out one of them.")
    folder = run_names.resolve(other or run, results)
    judged, reference = runs.load(folder), None
    if keep:
        if other is not None:
            raise CannotStart("--keep takes one run.", "Remove the other one.")
        screen.say(f"kept in {baseline.keep(judged, folder, baselines)}")
        raise typer.Exit
    if other is None:
        earlier, skipped = baseline.load(judged, baselines)
        for line in skipped:
            print_line(screen.console(sys.stderr), line)
    else:
        against = run_names.resolve(run, results)
        reference = runs.load(against)
        earlier = [timings.of(reference, against)]
    compared = comparison.compare(earlier, timings.of(judged, folder))
    if json_:
        document.say(compared_runs.of(compared, judged, reference, len(earlier)))
    else:
        comparison_table.show(compared, judged, reference, len(earlier), screen.console())
    raise typer.Exit(comparison.exit_code(compared))


@command(commands, group="keep", example="dgxcert calibrate results/A results/B results/C --write site/h200.yaml")
def calibrate(
    named: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Runs of known-good machines of one kind.", autocompletion=completion.runs),
    ],
    write: Annotated[Path | None, typer.Option(help="Write a site profile, which only tightens limits, here.")] = None,
    who: Annotated[str, typer.Option(help="Who is responsible for it; empty means the name of this account.")] = "",
    results: ResultsOption = RESULTS,
) -> None:
    """Turn runs of known-good machines into limits.

    They are printed as YAML, each with its source. With --write, from at least three runs that passed everything:
    a site profile for `dgxcert validate --site`.
    """
    from dgxcert.history import calibration, run_names
    from dgxcert.record import run as runs
    from dgxcert.record import timings

    folders = [run_names.resolve(name, results) for name in named]
    if write is not None:
        _write_site(folders, write, who or account())
        return
    if who:
        raise CannotStart("--who is for a site profile.", "Add --write site/PROFILE.yaml.")
    loaded = [(run, timings.of(run, folder)) for run, folder in ((runs.load(folder), folder) for folder in folders)]
    readings, excluded = calibration.readings(loaded)
    errors = screen.console(sys.stderr)
    for reason in excluded:
        print_line(errors, f"excluded: {reason}")
    if not readings:
        raise CannotStart("None of these runs holds a usable speed.", "Name runs of the standard tier.")
    about = calibration.about([run for run, _ in loaded])
    for line in ["limits:", *calibration.lines(readings, about)]:
        screen.say(line)


def _write_site(folders: list[Path], path: Path, who: str) -> None:
    """Write the site profile that some runs make, and print what it tightens and what stays as it ships."""
    from dgxcert.files.atomic import SHARED, write_text
    from dgxcert.history import site_calibration
    from dgxcert.profiles import profile as profiles
    from dgxcert.profiles import site
    from dgxcert.record import journal, timings
    from dgxcert.record import run as runs

    if path.suffix != ".yaml":
        raise CannotStart(f"{path}: a site profile is a .yaml file.", "Name it like its profile: site/dgx-spark.yaml")
    if os.path.lexists(path):
        raise CannotStart(f"{path} already exists.", "Move it away, or write another file.")
    candidates = []
    for folder in folders:
        run, sha256 = runs.load_hashed(folder)
        timed = timings.of(run, folder)
        candidates.append(site_calibration.Candidate(run, journal.read(folder), timed, sha256))
    made = site_calibration.make(candidates, who, datetime.now(UTC).date())
    errors = screen.console(sys.stderr)
    for line in (*(f"as it ships: {reason}" for reason in made.kept), *(f"warning: {each}" for each in made.warnings)):
        print_line(errors, line)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, made.text, mode=SHARED)  # other accounts validate by it
    site.apply(profiles.load(candidates[0].run.profile.name), path)  # what is written must be what --site accepts
    limits = f"{counted(len(made.tightened), 'limit')} tightened"
    screen.say(f"{path}: {limits}, by {who}. Use it: dgxcert validate --site {path}")


def account() -> str:
    """Full name of this account, or its login."""
    try:
        account = pwd.getpwuid(os.getuid())
    except KeyError:  # a container's user without an entry
        return f"user {os.getuid()}"
    return account.pw_gecos.split(",")[0].strip() or account.pw_name
