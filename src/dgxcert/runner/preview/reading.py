"""A preview is read from the machine, the catalogue and earlier runs; nothing is measured or written."""

from pathlib import Path

from dgxcert.history import run_index
from dgxcert.outcome import CannotStart
from dgxcert.plan.options import Options
from dgxcert.plan.preview import Preview
from dgxcert.runner import validation
from dgxcert.runner.preview import downloads, needs


def read(options: Options, results: Path, waiver_file: Path | None = None) -> Preview:
    """What a run with these options would do. Raises CannotStart where it could not start."""
    decided = validation.decide(options)
    validation.read_waivers(waiver_file, decided.catalogue, decided.machine)
    try:
        fetched = downloads.read(options, decided.plan)
    except CannotStart as error:  # the run would start all the same, and say so by its requirements
        fetched = (("unknown", error.problem),)
    return Preview(
        options=options,
        profile=decided.profile,
        plan=tuple(decided.plan),
        known=run_index.durations(results, decided.machine, decided.profile.name, options.runtime),
        downloads=fetched,
        needs=needs.read(options, decided.profile, decided.machine, results, fetched),
    )
