"""Reports of a room, all drawn from room.json alone: for people, for CI, for monitoring."""

from pathlib import Path

from dgxcert.files.atomic import SHARED, write_text
from dgxcert.outcome import CannotStart
from dgxcert.record.room.document import NAME, Room
from dgxcert.redaction import models
from dgxcert.report.room import markdown

SUMMARY, HTML, PROMETHEUS = "summary.md", "room.html", "metrics.prom"


def write_all(room: Room, folder: Path) -> list[Path]:
    """Write room.json and all reports of a room into its folder, and return their paths.

    Raises CannotWrite; and CannotStart where Jinja2 or prometheus-client is missing, after the others were written.
    """
    room = models.scrubbed(room)
    write_text(folder / NAME, room.model_dump_json(indent=1) + "\n")
    write_text(folder / SUMMARY, markdown.render(room))
    try:
        from dgxcert.report.room import html, prometheus
    except ImportError as error:
        raise CannotStart(
            f"{HTML} and {PROMETHEUS} need a package that is not installed: {error.name}.",
            "Install it: pip install 'dgxcert[host]'",
        ) from error
    write_text(folder / PROMETHEUS, prometheus.render(room), mode=SHARED)  # a collector of another account reads it
    write_text(folder / HTML, html.render(room))
    return [folder / name for name in (NAME, SUMMARY, PROMETHEUS, HTML)]
