"""The faces of a run, all rebuilt from run.json alone: for a terminal, for CI, for people who read Markdown."""

from pathlib import Path

from dgxcert import run as runs
from dgxcert.atomic import write_text
from dgxcert.report import junit, markdown
from dgxcert.run import Run


def write(run: Run, folder: Path) -> None:
    """Write run.json and its faces into the run folder."""
    write_text(folder / runs.NAME, run.model_dump_json(indent=1) + "\n")
    write_text(folder / "junit.xml", junit.render(run))
    write_text(folder / "summary.md", markdown.render(run))
