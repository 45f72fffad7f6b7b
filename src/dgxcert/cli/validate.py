"""Commands that run the suite: validate a machine, check a course module's prerequisites."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dgxcert.cli import config, screen
from dgxcert.cli.options import (
    RESULTS,
    BaseOption,
    BuildOption,
    DryRunOption,
    ImageOption,
    MinutesOption,
    NewResultsOption,
    OnlyOption,
    ProfileOption,
    QuietOption,
    ResumeOption,
    RuntimeOption,
    StackOption,
    VerboseOption,
    existing,
    only_of,
)
from dgxcert.cli.usage.declaration import command
from dgxcert.judgement.requirement import Tier
from dgxcert.machine.runtime import RuntimeChoice, resolve
from dgxcert.outcome import CannotStart
from dgxcert.plan.options import Weights

if TYPE_CHECKING:
    from dgxcert.plan.options import Options
    from dgxcert.report.terminal import Detail
    from dgxcert.runner.closing import Ended

WITH_RESUME = ("resume", "results", "verbose", "quiet")
"""Parameters that change nothing of a run that is continued."""

commands = typer.Typer()

ChecksOption = Annotated[
    str, typer.Option(metavar="DIR", help="Folder of your own checks; they certify nothing.", callback=existing)
]


@command(commands, group="validate", example="dgxcert validate --tier quick")
def validate(
    context: typer.Context,
    profile: ProfileOption = "auto",
    tier: Annotated[Tier, typer.Option(help="How much to run; only `standard` certifies.")] = Tier.STANDARD,
    minutes: MinutesOption = 30.0,
    only: OnlyOption = "",
    weights: Annotated[Weights, typer.Option(help="`hub` also runs real checkpoints from the Hub.")] = Weights.SEEDED,
    results: NewResultsOption = RESULTS,
    resume: ResumeOption = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    stack: StackOption = "course",
    image: ImageOption = "",
    base: BaseOption = "",
    build: BuildOption = True,
    waivers: Annotated[Path | None, typer.Option(help="File of waivers; ./waivers.yaml if it exists.")] = None,
    site: Annotated[str, typer.Option(help="Site profile with tighter limits: a file, or a folder of them.")] = "",
    checks: ChecksOption = "",
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure this machine, and judge it.

    Exit code 0: certified, rehearsed or partial; 1: rejected; 2: inconclusive; 3: could not start or not finish.
    """
    from dgxcert.history import run_names
    from dgxcert.runner import interrupts, validation

    console, detail = screen.console(), screen.detail(verbose=verbose, quiet=quiet)
    if resume is not None:
        _refuse_other_options(context)
        work = partial(validation.resume, run_names.resolve(resume, results), console, detail)
    else:
        _require_burn_in(context, tier)
        options = _options(context, profile, site, tier, only, runtime)
        recipe = {"stack": stack, "image": image, "base": base, "build": build, "minutes": minutes, "weights": weights}
        recipe["checks"] = os.path.abspath(checks) if checks else ""
        options = options.model_copy(update=recipe)
        if dry_run:
            _show_preview(options, results, waivers, console)
            return
        work = partial(validation.validate, options, results, console, waivers, detail)
    with interrupts.held():
        _show(ended := work(), console, detail)
    raise typer.Exit(ended.exit_code)


def _site_of_config(context: typer.Context, site: str, profile: str) -> tuple[str, str]:
    """The site profile to use, and what is said of the config file.

    A folder that a config file names is for the profiles that it has a file for: `--profile cpu` rehearses beside it.
    """
    unfit = config.is_default(context, "site") and _was_given(context, "profile") and Path(site).is_dir()
    if unfit and profile != "auto" and not (Path(site) / f"{profile}.yaml").exists():
        given = config.used(context, without=["site"])
        return "", f"{given or context.find_root().obj.file}; its site {site!r} has no {profile}.yaml, so none is used"
    return site, config.used(context)


def _options(
    context: typer.Context, profile: str, site: str, tier: Tier, only: str, runtime: RuntimeChoice
) -> "Options":
    """What is measured, and where: also by the config file and by what this process runs in."""
    from dgxcert.plan.options import Options

    place, because = resolve(runtime, profile)
    site, given = _site_of_config(context, site, profile)
    options = Options(profile=profile, site=site, tier=tier, only=only_of(only), runtime=place, runtime_because=because)
    return options.model_copy(update={"config": given})


def _require_burn_in(context: typer.Context, tier: Tier) -> None:
    """Raise CannotStart where --minutes was given for a tier that has no burn-in."""
    if tier is not Tier.BURN_IN and _was_given(context, "minutes"):
        raise CannotStart(f"--minutes is for the burn-in, and tier {tier.value} has none.", "Add --tier burn-in.")


def _show_preview(options: "Options", results: Path, waivers: Path | None, console: Console) -> None:
    """Print what a run with these options would do."""
    from dgxcert.report import preview
    from dgxcert.runner.preview import reading

    preview.show(reading.read(options, results, waivers), console)


def _show(ended: "Ended", console: Console, detail: "Detail") -> None:
    """Print how a run ended, and what to do next."""
    from dgxcert.report import terminal
    from dgxcert.runner import resumption

    here = terminal.Here(waits=resumption.would_measure(ended.folder, ended.run.machine.boot_id))
    terminal.show(ended.run, console, ended.kept, exit_code=ended.exit_code, detail=detail, here=here)
    ended.say_trouble(console)


def _refuse_other_options(context: typer.Context) -> None:
    """Raise CannotStart where anything but --resume was given: a run is continued with the options it began with."""
    names = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name and parameter.name not in WITH_RESUME and _was_given(context, parameter.name)
    ]
    if names:
        raise CannotStart(
            f"--resume continues a run with the options it began with; {', '.join(names)} cannot be given again.",
            "Remove that option, or start a new run.",
        )


def _was_given(context: typer.Context, parameter: str) -> bool:
    """Whether an option was typed, even if with its default."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


@command(commands, group="validate", example="dgxcert ready --profile cpu")
def ready(
    context: typer.Context,
    profile: ProfileOption = "auto",
    results: NewResultsOption = RESULTS,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    stack: StackOption = "course",
) -> None:
    """Check what a student of the course module needs.

    It is about what this environment can do, not about what its student knows.

    Exit code 0: ready, without a GPU ready to practise; 1: not ready; 2: something could not be checked.
    """
    from dgxcert.plan.options import Options
    from dgxcert.profiles import prerequisites
    from dgxcert.report import readiness
    from dgxcert.runner import interrupts, validation

    console, rows = screen.console(), prerequisites.load()
    place, because = resolve(runtime, profile)
    only = prerequisites.names(rows)
    options = Options(profile=profile, only=only, runtime=place, runtime_because=because, stack=stack)
    options = options.model_copy(update={"config": config.used(context)})
    with interrupts.held():
        ended = validation.validate(options, results, console)
        lines = readiness.checklist(ended.run, rows)
        readiness.show(ended.run, lines, console, ended.kept)
        ended.say_trouble(console)
    raise typer.Exit(ended.exit_code if ended.trouble else readiness.exit_code(ended.run, lines))


@commands.command(hidden=True)
def stage(
    inside: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of the run for what its work keeps.")],
    own: Annotated[Path | None, typer.Option(help="A lab's own checks, to be measured instead of the suite's.")] = None,
) -> None:
    """Work for the supervisor outside the container, which says on standard input what to do."""
    from dgxcert.plan import suite

    environment = suite.environment(own)
    os.chdir(suite.root())
    command = suite.stage_command(suite.root(), inside, parent=0, own=own)
    os.execve(sys.executable, command, environment)  # noqa: S606 (an argument list; this process becomes that child)
