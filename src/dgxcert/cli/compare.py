"""Commands that compare runs: with another run, with a baseline, and for the limits of a profile."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import RESULTS
from dgxcert.console import print_line
from dgxcert.outcome import CannotStart

BASELINES = RESULTS / "baselines"

commands = typer.Typer()


@commands.command()
def compare(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run to compare; of two runs, the reference.")],
    other: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="The run to compare with the first.")] = None,
    keep: Annotated[bool, typer.Option(help="Add RUN to the baseline of its machine and image.")] = False,
    baselines: Annotated[Path, typer.Option(help="Folder that holds the baselines.")] = BASELINES,
) -> None:
    """Compare a run with another run, or with the baseline of its machine and image.

    Exit code 0: nothing is slower; 1: something is slower; 2: something could not be compared.
    """
    from dgxcert.history import baseline, comparison
    from dgxcert.record import run as runs
    from dgxcert.record import timings
    from dgxcert.report import comparison_table

    folder = other or run
    judged, reference = runs.load(folder), None
    if keep:
        if other is not None:
            raise CannotStart("--keep takes one run.", "Remove the other one.")
        screen.say(f"kept in {baseline.keep(judged, folder, baselines)}")
        raise typer.Exit
    if other is None:
        earlier = baseline.load(judged, baselines)
    else:
        reference = runs.load(run)
        earlier = [timings.of(reference, run)]
    compared = comparison.compare(earlier, timings.of(judged, folder))
    comparison_table.show(compared, judged, reference, len(earlier), screen.console())
    raise typer.Exit(comparison.exit_code(compared))


@commands.command()
def calibrate(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs of known-good machines of one kind.")],
) -> None:
    """Derive limits for a profile from runs of known-good machines, as YAML, each with its source."""
    from dgxcert.history import calibration
    from dgxcert.record import run as runs
    from dgxcert.record import timings

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
