"""The command that says what a first run will trip over, before it begins."""

from typing import TYPE_CHECKING

import typer

from dgxcert.cli import screen
from dgxcert.cli.options import (
    BaseOption,
    BuildOption,
    ImageOption,
    JsonOption,
    ProfileOption,
    RuntimeOption,
    StackOption,
)
from dgxcert.cli.usage.declaration import command
from dgxcert.console import on_one_line, printable
from dgxcert.machine.runtime import RuntimeChoice, resolve
from dgxcert.plan.spelling import spelled

if TYPE_CHECKING:
    from dgxcert.runner.doctor.findings import Examination, Finding

commands = typer.Typer()


@command(commands, group="validate", example="dgxcert doctor")
def doctor(
    profile: ProfileOption = "auto",
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    stack: StackOption = "course",
    image: ImageOption = "",
    base: BaseOption = "",
    build: BuildOption = True,
    json_: JsonOption = False,
) -> None:
    """Say what a first run will trip over, within 15 s.

    It asks the requirements of the host and of the Hub, and writes no run. Exit code 0: nothing is in the way; 1:
    something will stop a run or reject the machine; 2: something could not be told.
    """
    from dgxcert.cli.json_output import doctor as documents
    from dgxcert.cli.json_output import document
    from dgxcert.plan.options import Options
    from dgxcert.runner.doctor import examination

    place, because = resolve(runtime, profile)
    recipe = {"stack": stack, "image": image, "base": base, "build": build}
    options = Options(profile=profile, runtime=place, runtime_because=because).model_copy(update=recipe)
    examined = examination.examine(options)
    if json_:
        document.say(documents.of(examined))
    else:
        screen.say(told(examined))
    raise typer.Exit(examined.exit_code)


def told(examined: "Examination") -> str:
    """The examination in lines: what is in the way, worst last, and what it comes to."""
    lines = [line for alike in reversed(_grouped(examined.troubles)) for line in (*_lines(alike), "")]
    if examined.image:
        lines.append(on_one_line(examined.image))
    about = f"{len(examined.findings)} things looked at for profile {examined.profile}, {examined.seconds} s"
    if not examined.troubles:
        return "\n".join([*lines, f"Nothing is in the way of a run ({about}): dgxcert validate"])
    return "\n".join([*lines, f"{_counted(examined)} ({about}, exit {examined.exit_code})"])


def _grouped(troubles: "list[Finding]") -> "list[list[Finding]]":
    """The findings that one cause has, such as a kernel log that cannot be read, stand together."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[Finding]] = {}
    for finding in troubles:
        groups.setdefault((finding.effect, finding.problem, finding.remedy), []).append(finding)
    return list(groups.values())


def _lines(alike: "list[Finding]") -> list[str]:
    """Findings with one cause: what they do, what was found, what to do, and what waits for them."""
    finding = alike[0]
    title = f": {finding.title}" if len(alike) == 1 else ""
    names = ", ".join(each.name for each in alike)
    problem = printable(finding.problem).splitlines() or [""]
    head = [f"{finding.effect.upper():8} {names}{title}", *(f"  {line.strip()}" for line in problem)]
    steps = [f"  {number}. {on_one_line(spelled(step))}" for number, step in enumerate(finding.remedy, start=1)]
    waiting = ", ".join(name for each in alike for name in each.behind)
    behind = [f"  then look again at {waiting}"] if waiting else []
    return [on_one_line(head[0]), *head[1:], *steps, *behind]


def _counted(examined: "Examination") -> str:
    """`1 stops a run, 2 reject this machine, 1 could not be told`."""
    words = {"stops": ("stops a run", "stop a run"), "rejects": ("rejects this machine", "reject this machine")}
    effects = [finding.effect.value for finding in examined.troubles]
    counts = [f"{effects.count(name)} {words[name][effects.count(name) > 1]}" for name in words if name in effects]
    return ", ".join([*counts, *([f"{effects.count('unknown')} could not be told"] if "unknown" in effects else [])])
