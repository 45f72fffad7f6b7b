"""The faces of a run, all rebuilt from run.json alone: for people, for CI, for monitoring."""

from pathlib import Path

from dgxcert.atomic import write_text
from dgxcert.outcome import CannotStart
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import junit, markdown

JUNIT, SUMMARY, HTML, PROMETHEUS = "junit.xml", "summary.md", "report.html", "metrics.prom"


def write(run: Run, folder: Path) -> None:
    """Write run.json and the faces that need no library into the run folder.

    The others are removed until they are drawn anew: none may go on showing an older verdict.
    """
    for name in (HTML, PROMETHEUS):
        (folder / name).unlink(missing_ok=True)
    write_text(folder / runs.NAME, run.model_dump_json(indent=1) + "\n")
    _write_light(run, folder)


def write_all(run: Run, folder: Path) -> list[Path]:
    """Write every face but run.json itself, and return their paths; the same run gives the same bytes.

    Raises CannotStart where a library that draws is missing, after the others were written.
    """
    _write_light(run, folder)
    try:
        from dgxcert.report import html, prometheus
    except ImportError as error:
        raise CannotStart(
            f"{HTML} and {PROMETHEUS} need a package that is not installed: {error.name}.",
            "Set the environment up anew: make setup; or pip install 'dgxcert[host]'",
        ) from error
    write_text(folder / PROMETHEUS, prometheus.render(run))
    write_text(folder / HTML, html.render(run))
    return [folder / name for name in (JUNIT, SUMMARY, PROMETHEUS, HTML)]


def _write_light(run: Run, folder: Path) -> None:
    write_text(folder / JUNIT, junit.render(run))
    write_text(folder / SUMMARY, markdown.render(run))
