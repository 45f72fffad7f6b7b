"""Reports of a run, all rebuilt from run.json alone: for people, for CI, for monitoring.

Each is drawn from the run without secrets: it may be somebody else's, made by a process that redacted nothing.
"""

from collections.abc import Callable
from pathlib import Path

from dgxcert.files.atomic import SHARED, write_text
from dgxcert.files.cannot_write import CannotWrite
from dgxcert.outcome import CannotStart
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.redaction import models
from dgxcert.report import junit, markdown

JUNIT, SUMMARY, HTML, PROMETHEUS = "junit.xml", "summary.md", "report.html", "metrics.prom"


def write(run: Run, folder: Path) -> tuple[CannotWrite, ...]:
    """Write run.json and the reports that need no third-party package, and remove the others from the run folder.

    Returns what could not be written or removed; none of it keeps the others from being written.
    """
    removed = (HTML, PROMETHEUS)  # until `write_all` has run they would show an older verdict
    written = {runs.NAME: run.model_dump_json(indent=1) + "\n", **plain(models.scrubbed(run))}
    failures = [_failure(_remove, folder / name) for name in removed]
    failures += [_failure(write_text, folder / name, text) for name, text in written.items()]
    return tuple(failure for failure in failures if failure is not None)


def plain(run: Run) -> dict[str, str]:
    """The reports that need no third-party package, by name, of a run without secrets."""
    return {JUNIT: junit.render(run), SUMMARY: markdown.render(run)}


def _failure(act: Callable[..., None], path: Path, *text: str) -> CannotWrite | None:
    try:
        act(path, *text)
    except CannotWrite as error:
        return error
    return None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(path, error) from error


def write_all(run: Run, folder: Path) -> list[Path]:
    """Write all reports of a run, without run.json itself, and return their paths; the same run gives the same bytes.

    Raises CannotStart where Jinja2, matplotlib or prometheus-client is missing, after the other reports were written.
    """
    run = models.scrubbed(run)
    for name, text in plain(run).items():
        write_text(folder / name, text)
    try:
        from dgxcert.report import html, prometheus
    except ImportError as error:
        raise CannotStart(
            f"{HTML} and {PROMETHEUS} need a package that is not installed: {error.name}.",
            "Set up the environment again: make setup; or pip install 'dgxcert[host]'",
        ) from error
    write_text(folder / PROMETHEUS, prometheus.render(run), mode=SHARED)  # a collector of another account reads it
    write_text(folder / HTML, html.render(run))
    return [folder / name for name in (JUNIT, SUMMARY, PROMETHEUS, HTML)]
