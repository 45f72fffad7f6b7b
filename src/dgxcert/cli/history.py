"""Commands about what was measured before: draw a run's faces anew, show a machine's history, pack a hardware case."""

from pathlib import Path
from typing import Annotated

import typer

from dgxcert.cli import screen
from dgxcert.outcome import CannotStart

RESULTS = Path("results")


def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder under results/.")]) -> None:
    """Write every face of a run anew from its run.json: report.html, summary.md, junit.xml, metrics.prom."""
    from dgxcert import report as faces
    from dgxcert.record import run as runs

    for path in faces.write_all(runs.load(run), run):
        screen.say(str(path))


def history(
    machine: Annotated[str, typer.Argument(metavar="[MACHINE]", help="Host name, GPU UUID, or the start of it.")] = "",
    results: Annotated[Path, typer.Option(help="Folder that holds the run folders.")] = RESULTS,
    last: Annotated[int, typer.Option(min=2, help="Of a machine: how many runs to show each benchmark over.")] = 20,
) -> None:
    """List all runs; of a MACHINE also each benchmark over time, and what had changed where its speed made a step."""
    from dgxcert.history import run_index
    from dgxcert.report import history_table

    known = run_index.read(results)
    mine = [run for run in known.runs if history_table.is_of(run, machine)]
    if machine and not mine:
        names = ", ".join(sorted({run.hostname for run in known.runs})) or "none"
        raise CannotStart(f"{results} holds no run of {machine!r}.", f"Machines there: {names}.")
    history_table.show(known, mine, machine, last, screen.console())


def bundle(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder under results/.")],
    to: Annotated[Path | None, typer.Option(help="The archive; empty means RUN.tar.gz in this folder.")] = None,
    driver_report: Annotated[Path | None, typer.Option(help="What nvidia-bug-report.sh wrote.")] = None,
    hide_host: Annotated[bool, typer.Option(help="Take the host name out as well.")] = False,
    yes: Annotated[bool, typer.Option(help="Write it without asking.")] = False,
) -> None:
    """Pack a run for a hardware case: without tokens, user names and home paths; lists all before it is written."""
    from dgxcert.certificate import bundle as bundles

    packed = bundles.prepare(run, driver_report, hide_host=hide_host)
    path = to or Path(f"{packed.name}.tar.gz")
    for file in packed.files:
        screen.say(f"{file.size_bytes:>12,}  {file.name}{f'  ({file.taken_out} taken out)' if file.taken_out else ''}")
    for words in packed.left_out:
        screen.say(f"     left out  {words}")
    if not yes and not _agreed(f"Write these {len(packed.files)} files into {path}?"):
        raise CannotStart("Nothing was written.", "Say --yes, or answer y.")
    bundles.write(packed, path)
    screen.say(f"{path}, {path.stat().st_size:,} bytes. Look into it before you send it: tar tzf {path}")


def _agreed(question: str) -> bool:
    """Whether somebody says yes; Ctrl-C, or nobody there to be asked, is a no."""
    try:
        return typer.confirm(question)
    except typer.Abort:
        typer.echo()
        return False
