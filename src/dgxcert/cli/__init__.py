"""The `dgxcert` command: thin commands over stages, plan and report."""

import atexit
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dgxcert import __doc__ as about
from dgxcert.cli import certificate, history, screen
from dgxcert.judgement.requirement import Tier
from dgxcert.machine.runtime import Asked, resolve
from dgxcert.outcome import CannotStart
from dgxcert.plan.selection import Weights

CANNOT_START = 3
RESULTS = history.RESULTS
BASELINES = RESULTS / "baselines"
INTERRUPTED = 130
"""What typer makes of Ctrl-C outside the part of a run that can be resumed at once."""

app = typer.Typer(help=about, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.command()
def validate(
    context: typer.Context,
    profile: Annotated[str, typer.Option(help="Profile name or file; `auto` matches the GPUs.")] = "auto",
    tier: Annotated[Tier, typer.Option(help="How much to run; `standard` is what certifies.")] = Tier.STANDARD,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the burn-in tier works on each GPU.")] = 30.0,
    only: Annotated[str, typer.Option(help="Requirements or groups, by name, with commas between.")] = "",
    weights: Annotated[Weights, typer.Option(help="`hub` also runs real checkpoints from the Hub.")] = Weights.SEEDED,
    results: Annotated[Path, typer.Option(help="Folder that holds the run folders.")] = RESULTS,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run that ended early.")] = None,
    runtime: Annotated[Asked, typer.Option(help="Work in the container (docker) or in this environment.")] = Asked.AUTO,
    stack: Annotated[str, typer.Option(help="The image's stack: course or current.")] = "course",
    image: Annotated[str, typer.Option(help="Name of the image; empty means dgxcert:STACK.")] = "",
    base: Annotated[str, typer.Option(help="The base image; empty means the pinned one.")] = "",
    build: Annotated[bool, typer.Option(help="Build the image where it does not fit this checkout.")] = True,
    waivers: Annotated[
        Path | None, typer.Option(help="What somebody answers for; ./waivers.yaml if there is one.")
    ] = None,
) -> None:
    """Validate this machine: exit 0 certified, rehearsed or partial; 1 rejected; 2 inconclusive; 3 could not start."""
    from dgxcert.plan.selection import Options
    from dgxcert.report import terminal
    from dgxcert.runner import validation

    console = screen.console()
    if resume is not None:
        _refuse_other_options(context)
        run, folder = validation.resume(resume, console), resume
    else:
        names = tuple(name.strip() for name in only.split(",") if name.strip())
        _refuse_empty(only, names)
        if tier is not Tier.BURN_IN and _was_given(context, "minutes"):
            raise CannotStart(f"--minutes is for the burn-in, and tier {tier.value} has none.", "Add --tier burn-in.")
        place, because = resolve(runtime, profile)
        options = Options(profile=profile, tier=tier, only=names, runtime=place, runtime_because=because)
        recipe = {"stack": stack, "image": image, "base": base, "build": build, "minutes": minutes, "weights": weights}
        run, folder = validation.validate(options.model_copy(update=recipe), results, console, waivers)
    with screen.undisturbed():
        terminal.show(run, console, str(folder))
    raise typer.Exit(run.judgement.exit_code)


def _refuse_other_options(context: typer.Context) -> None:
    given = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name and _was_given(context, parameter.name)
    ]
    names = [name for name in given if name != "--resume"]
    if names:
        raise CannotStart(
            f"--resume goes on with what the run began with, so {', '.join(names)} cannot be given again.",
            "Leave it out, or start a new run.",
        )


def _was_given(context: typer.Context, parameter: str) -> bool:
    """Whether an option was typed, even with its default."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _refuse_empty(only: str, names: tuple[str, ...]) -> None:
    if only and not names:
        raise CannotStart(f"--only {only!r} names nothing.", "`dgxcert list` shows every requirement and group.")


@app.command()
def ready(
    profile: Annotated[str, typer.Option(help="Profile name or file; `auto` matches the GPUs.")] = "auto",
    results: Annotated[Path, typer.Option(help="Folder that holds the run folders.")] = RESULTS,
    runtime: Annotated[Asked, typer.Option(help="Work in the container (docker) or in this environment.")] = Asked.AUTO,
    stack: Annotated[str, typer.Option(help="The image's stack: course or current.")] = "course",
) -> None:
    """Go through the course module's prerequisites: exit 0 ready; 1 a row is not; 2 a row could not be looked at."""
    from dgxcert.plan.selection import Options
    from dgxcert.profiles import prerequisites
    from dgxcert.report import readiness
    from dgxcert.runner import validation

    console, rows = screen.console(), prerequisites.load()
    place, because = resolve(runtime, profile)
    only = prerequisites.names(rows)
    options = Options(profile=profile, only=only, runtime=place, runtime_because=because, stack=stack)
    run, folder = validation.validate(options, results, console)
    lines = readiness.checklist(run, rows)
    with screen.undisturbed():
        readiness.show(run, lines, console, str(folder))
    raise typer.Exit(readiness.exit_code(run, lines))


@app.command(name="list")
def list_() -> None:
    """List every requirement and group."""
    from dgxcert.plan import suite
    from dgxcert.plan.selection import any_gpu

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("group", "requirement", "tier", "what must be true"):
        table.add_column(heading, no_wrap=heading != "what must be true")
    for entry in suite.collect(suite.root(), gpus=1):
        table.add_row(entry.group, any_gpu(entry.key).replace("[", r"\["), entry.tier.value, entry.title)
    screen.console().print(table)


@app.command()
def show(run: Annotated[Path, typer.Argument(metavar="RUN", help="A folder under results/.")]) -> None:
    """Show a finished run again; exits like the run did."""
    from dgxcert.record import run as runs
    from dgxcert.report import terminal

    kept = runs.load(run)
    terminal.show(kept, screen.console(), str(run))
    raise typer.Exit(kept.judgement.exit_code)


@app.command()
def compare(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run to judge, or the reference where two are named.")],
    other: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="With two runs: the one to judge.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep RUN as a further example of its machine and image.")] = False,
    baselines: Annotated[Path, typer.Option(help="Folder of the runs that were kept.")] = BASELINES,
) -> None:
    """Compare a run with another or with its baseline: exit 0 nothing slower; 1 slower; 2 not all compared."""
    from dgxcert.history import baseline, comparison
    from dgxcert.record import run as runs
    from dgxcert.record import timings
    from dgxcert.report import comparison_table

    console, folder = screen.console(), other or run
    judged, reference = runs.load(folder), None
    if keep:
        if other is not None:
            raise CannotStart("--keep is for one run.", "Leave the other one out.")
        where = baseline.keep(judged, folder, baselines)
        console.print(f"kept in {where}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(0)
    if other is None:
        kept = baseline.load(judged, baselines)
    else:
        reference = runs.load(run)
        kept = [timings.of(reference, run)]
    found = comparison.compare(kept, timings.of(judged, folder))
    comparison_table.show(found, judged, reference, len(kept), console)
    raise typer.Exit(comparison.exit_code(found))


@app.command()
def calibrate(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs of known-good machines of one kind.")],
) -> None:
    """Turn runs of known-good machines into limits for a profile, each with where it comes from."""
    from dgxcert.history import calibration
    from dgxcert.record import run as runs
    from dgxcert.record import timings

    named = [(runs.load(folder), folder) for folder in folders]
    loaded = [(run, timings.of(run, folder)) for run, folder in named]
    found, left_out = calibration.readings(loaded)
    errors = screen.console(sys.stderr)
    for words in left_out:
        errors.print(f"left out: {words}", markup=False, highlight=False, soft_wrap=True)
    if not found:
        raise CannotStart("None of these runs holds a speed to go by.", "Name runs of the standard tier.")
    about = calibration.about([run for run, _ in loaded])
    for line in ["limits:", *calibration.lines(found, about)]:
        screen.console().print(line, markup=False, highlight=False, soft_wrap=True)


@app.command()
def cache(
    profile: Annotated[str, typer.Option(help="Profile name or file; `auto` matches the GPUs.")] = "auto",
) -> None:
    """List and verify the real checkpoints in the cache: exit 0 where all that the profile needs is there, else 1."""
    from dgxcert.container import hub_home
    from dgxcert.probes.hub import model_cache
    from dgxcert.profiles.checkpoints import KNOWN
    from dgxcert.runner import session

    needed = session.choose_profile(profile, session.read_machine()).checkpoints
    console = screen.console()
    kept = {repo: model_cache.look(checkpoint) for repo, checkpoint in KNOWN.items()}
    for repo, found in kept.items():
        use = "needed by this profile" if repo in needed else "not needed by this profile"
        about = f"{repo} at {found.checkpoint.revision}\n  {found.checkpoint.purpose}; {use}"
        files = [f"\n  {file.state:10} {file.name}: {file.found}" for file in found.files]
        if found.main:
            files.append(f"\n  missing    {found.main}, which a notebook means that names no revision")
        console.print("".join([about, *files]), markup=False, highlight=False, soft_wrap=True)
    lacking = [kept[repo] for repo in needed if not kept[repo].usable]
    others = f"; not pinned by any list: {', '.join(others)}" if (others := model_cache.others(KNOWN)) else ""
    state = f"{len(lacking)} of the {len(needed)} that the profile needs are not usable" if lacking else "all is there"
    console.print(f"cache {hub_home.cache()}: {state}{others}", markup=False, highlight=False, soft_wrap=True)
    for found in lacking:
        console.print(f"to fetch it: {found.checkpoint.fetch}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if lacking else 0)


@app.command()
def image(
    stack: Annotated[str, typer.Option(help="The stack to install: course or current.")] = "course",
    base: Annotated[str, typer.Option(help="The base image; empty means the pinned one.")] = "",
    name: Annotated[str, typer.Option(help="What to call it; empty means dgxcert:STACK.")] = "",
    build: Annotated[bool, typer.Option(help="Build it where it does not fit this checkout.")] = True,
) -> None:
    """Build the container image, or reuse the one that fits this checkout."""
    from dgxcert.container import builder

    made = builder.ensure(name or f"dgxcert:{stack}", stack, base, build=build, show=screen.say)
    screen.say(f"{made.reference} {made.id}")


for command in (
    history.report,
    history.history,
    history.bundle,
    certificate.sign,
    certificate.verify,
    certificate.drift,
):
    app.command()(command)


@app.command(hidden=True)
def stage(
    name: Annotated[str, typer.Argument(metavar="STAGE")],
    run: Annotated[Path, typer.Option(help="The run folder.")],
    attempt: Annotated[int, typer.Option(help="Which child of the run this is.")],
) -> None:
    """Work on a stage of a run, as a child of the supervisor outside the container; for `dgxcert validate` only."""
    from dgxcert.plan import suite
    from dgxcert.record import journal

    opened = journal.opened(run)
    here = suite.identity(suite.root())
    if here.sha256 != opened.suite.sha256:
        raise CannotStart(
            f"This image holds another suite ({here.sha256[:12]}) than the run was begun by "
            f"({opened.suite.sha256[:12]}).",
            "Build the image anew: make image",
        )
    environment = suite.environment()
    os.chdir(suite.root())
    child = suite.stage_command(suite.root(), run, name, attempt, parent=0)
    os.execve(sys.executable, child, environment)  # noqa: S606 (an argument list; it becomes that child)


def main() -> None:
    """Run the command; whatever keeps it from starting is one clear line and exit 3."""
    # Python's own end takes a while, in which another Ctrl-C would put death by a signal in place of the exit code.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:
            code = _complain("interrupted. A run that had begun goes on with --resume.")
    except typer.TyperException as error:
        wrong = error.format_message().rstrip(".")
        code = _complain(f"{wrong}. `dgxcert --help` and `dgxcert COMMAND --help` list what there is.")
    except CannotStart as error:
        code = _complain(str(error))
    except Exception:  # a bug of ours: Python's own exit code would read REJECTED
        traceback.print_exc()
        code = CANNOT_START
    sys.exit(code)


def _complain(text: str) -> int:
    screen.console(sys.stderr).print(f"dgxcert: {text}", markup=False, highlight=False, soft_wrap=True)
    return CANNOT_START
