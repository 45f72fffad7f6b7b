"""Commands about earlier runs: their reports, a history, pages of all, a packed run for a support case."""

import errno
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dgxcert.cli import config, screen
from dgxcert.cli.options import RESULTS, JsonOption, ResultsOption, RunArgument
from dgxcert.cli.usage.declaration import command
from dgxcert.console import counted
from dgxcert.outcome import CannotStart

commands = typer.Typer()


@command(commands, group="keep", example="dgxcert report latest")
def report(run: RunArgument, results: ResultsOption = RESULTS) -> None:
    """Write all reports of a run again.

    These are report.html, summary.md, junit.xml and metrics.prom, made from its run.json. Only where that is what its
    record proves, and the run is not signed: a signature covers its reports.
    """
    from dgxcert import report as reports
    from dgxcert.certificate import consistency
    from dgxcert.history import run_names
    from dgxcert.record.claim import claimed

    folder = run_names.resolve(run, results)
    with claimed(folder):
        loaded = consistency.load(folder, datetime.now(UTC))
        consistency.require_unsigned(folder)
        written = reports.write_all(loaded.run, folder)
    for path in written:
        screen.say(str(path))
    if loaded.unchecked:
        screen.say(f"not checked: {loaded.unchecked}")


@command(commands, group="look", example="dgxcert history spark-07")
def history(
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="Host name, or the start of a GPU UUID.")] = "",
    results: ResultsOption = RESULTS,
    last: Annotated[int, typer.Option(min=2, help="With MACHINE: number of runs to show each benchmark over.")] = 20,
    json_: JsonOption = False,
) -> None:
    """List all runs; with MACHINE its speeds over time.

    With MACHINE it shows each benchmark over time, and what changed when a speed changed.
    """
    from dgxcert.cli.json_output import document
    from dgxcert.cli.json_output import history as listed
    from dgxcert.history import run_index
    from dgxcert.report import history_table

    index = run_index.read(results)
    selected = [run for run in index.runs if history_table.is_of(run, machine)]
    if machine and not selected:
        names = ", ".join(sorted({run.hostname for run in index.runs})) or "none"
        raise CannotStart(f"{results} holds no run of {machine!r}.", f"It holds runs of: {names}.")
    if json_:
        document.say(listed.of(index, selected, str(results), last, benchmarks=bool(machine)))
    else:
        history_table.show(index, selected, machine, last, screen.console())


@command(commands, group="look", example="dgxcert site results --out pages")
def site(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder that the pages are written into.")],
    results: Annotated[
        Path | None, typer.Argument(metavar="RESULTS", help="Folder that holds the run folders; default results.")
    ] = None,
    allowed_signers: Annotated[
        Path | None, typer.Option(help="Verify certificates by this list of signers; without it none is called valid.")
    ] = None,
    revoked: Annotated[Path | None, typer.Option(help="Revoked keys, or a key revocation list.")] = None,
) -> None:
    """Write static pages of all machines, runs and certificates.

    Pages without script, to be opened from a file or put on any web server: an index of machines, and a page for each
    with its figures over time. What `dgxcert site` did not write is neither replaced nor removed.
    """
    from dgxcert.site import machines, output, pages
    from dgxcert.site.standing import Signers

    if revoked and not allowed_signers:
        raise CannotStart("--revoked is about signatures, and none is verified.", "Add --allowed-signers FILE.")
    folder = results or _configured(context)
    if not folder.is_dir():
        missing = FileNotFoundError(errno.ENOENT, "no such folder", str(folder))
        raise CannotStart(f"There is no folder {folder}.", "Name the one that holds the run folders.") from missing
    for file in filter(None, (allowed_signers, revoked)):
        if not file.is_file():
            missing = FileNotFoundError(errno.ENOENT, "no such file", str(file))
            raise CannotStart(f"There is no file {file}.", "Name a list of signers, or leave it out.") from missing
    if by_file := config.used(context):
        screen.say(by_file)
    now = datetime.now(UTC)
    signers = Signers(allowed_signers, revoked) if allowed_signers else None
    output.require_place(out)
    seen = machines.read(folder, out, now, signers, screen.say)
    index = output.write(out, pages.render(seen, now, verified=signers is not None))
    for line in seen.unreadable:
        screen.say(f"not readable: {line}")
    screen.say(f"{index}: {counted(seen.runs, 'run')} of {counted(len(seen.machines), 'machine')}")


def _configured(context: typer.Context) -> Path:
    """The results folder that the config file names, or the usual one."""
    settings = context.find_root().obj
    return Path(settings.values.get("results", RESULTS)) if isinstance(settings, config.Config) else RESULTS


@command(commands, group="keep", example="dgxcert bundle results/2026-11-24T07-24-20Z-spark-07 --hide-host")
def bundle(
    run: RunArgument,
    results: ResultsOption = RESULTS,
    to: Annotated[Path | None, typer.Option(help="The archive; empty: dgxcert-bundle-DIGEST.tar.gz, here.")] = None,
    driver_report: Annotated[Path | None, typer.Option(help="Output of nvidia-bug-report.sh to include.")] = None,
    hide_host: Annotated[bool, typer.Option(help="Redact the host name as well.")] = False,
    yes: Annotated[bool, typer.Option(help="Write without asking.")] = False,
) -> None:
    """Pack a redacted copy of a run for a hardware case.

    It is without tokens, user names and home paths. Lists the contents and asks before it writes.
    """
    from dgxcert.certificate import bundle as bundles
    from dgxcert.history import run_names
    from dgxcert.record.claim import claimed

    folder = run_names.resolve(run, results)
    with claimed(folder):
        packed = bundles.prepare(folder, driver_report, hide_host=hide_host)
    path = to or Path(f"{packed.name}.tar.gz")
    for line in packed.listing():
        screen.say(line)
    if not yes and not _confirm(f"Write these {len(packed.files)} files to {path}?"):
        raise CannotStart("Nothing was written.", "Add --yes, or answer y.")
    bundles.write(packed, path)
    screen.say(f"{path}, {path.stat().st_size:,} bytes. Check its contents before you send it: tar tzf {path}")


def _confirm(question: str) -> bool:
    """Whether the user agrees; Ctrl-C, or no terminal to ask on, is a no."""
    try:
        return typer.confirm(question)
    except typer.Abort:
        typer.echo()
        return False
