"""Commands about the Hub: whether models can be downloaded, and which pinned checkpoints its local cache holds."""

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgxcert import near_miss
from dgxcert.cli import screen
from dgxcert.cli.exit_code import Cache, Hub
from dgxcert.cli.options import JsonOption, ProfileOption
from dgxcert.cli.usage.declaration import command
from dgxcert.outcome import CannotStart
from dgxcert.plan.spelling import spelled

if TYPE_CHECKING:
    from dgxcert.probes.hub.diagnosis import Diagnosis
    from dgxcert.probes.hub.model_cache import CachedCheckpoint

commands = typer.Typer()
REPO = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""The name of a repository; old ones have no owner."""


@command(commands, group="look", example="dgxcert cache --repo gpt2")
def cache(
    profile: ProfileOption = "auto",
    repo: Annotated[
        str, typer.Option(metavar="NAME", help="Verify one repository of the cache instead, or a local download.")
    ] = "",
    json_: JsonOption = False,
) -> None:
    """List and verify the checkpoints in the Hub cache.

    Exit code 0: all that the profile needs are usable; 1: at least one is not. With `--repo`, a name on the Hub or a
    folder that `hf download --local-dir` has filled, 0 means that no file differs from the hash that the Hub gave.
    """
    from dgxcert.cli.json_output import document
    from dgxcert.cli.json_output import hub as documents
    from dgxcert.probes.hub import model_cache
    from dgxcert.probes.hub.cache import offline, places
    from dgxcert.profiles.checkpoints import KNOWN
    from dgxcert.runner import session

    folder, variable = places.models_cache(), places.legacy_variable()
    if repo:
        raise typer.Exit(_verify_repository(repo, folder, json_=json_))
    needed = session.choose_profile(profile, session.read_machine()).checkpoints
    cached = {name: model_cache.verify(checkpoint, folder) for name, checkpoint in KNOWN.items()}
    unusable = [cached[name] for name in needed if not cached[name].usable]
    names = model_cache.unpinned(KNOWN, folder)
    if json_:
        fetch = {name: offline.fetch(each, folder) for name, each in cached.items() if not each.usable}
        document.say(documents.of_cache(cached, needed, str(folder), names, fetch))
        raise typer.Exit(Cache.INCOMPLETE if unusable else Cache.COMPLETE)
    for name, checkpoint in cached.items():
        screen.say(_described(checkpoint, needed=name in needed))
    others = f"; not pinned: {', '.join(names)}" if names else ""
    state = f"{len(unusable)} of the {len(needed)} that the profile needs are not usable" if unusable else "complete"
    by = f", which {variable} names for transformers" if variable else ""
    screen.say(f"cache {folder}{by}: {state}{others}")
    for checkpoint in unusable:
        screen.say(f"to download it: {offline.fetch(checkpoint, folder)}")
    raise typer.Exit(Cache.INCOMPLETE if unusable else Cache.COMPLETE)


def _verify_repository(name: str, cache_folder: Path, *, json_: bool) -> Cache:
    """Verify every file of one repository, and say how many are verified."""
    from dgxcert.cli.json_output import document
    from dgxcert.cli.json_output import hub as documents
    from dgxcert.probes.hub.cache import contents

    kinds = ("models", "datasets", "spaces")
    known = [cache_folder / f"{kind}--{name.replace('/', '--')}" for kind in kinds]
    place = next((folder for folder in known if folder.is_dir()), Path(name))
    files = contents.verify(place) if place.is_dir() else []
    code = Cache.INCOMPLETE if not files or any(file.is_wrong for file in files) else Cache.COMPLETE
    if json_:
        document.say(documents.of_repository(name, str(place), files, code))
        return code
    if not place.is_dir():
        screen.say(
            f"{cache_folder} holds no {name}, and there is no folder of that name; to download it: hf download {name}"
        )
        return code
    for file in files:
        screen.say(f"  {file.state:10} {file.name}: {file.detail}")
    counts = Counter(file.state for file in files)
    screen.say(f"{place}: {', '.join(f'{count} {state}' for state, count in sorted(counts.items())) or 'no file'}")
    return code


@command(commands, group="look", example="dgxcert hub --repo meta-llama/Llama-3.1-8B")
def hub(
    repo: Annotated[str, typer.Option(metavar="NAME", help="Ask about this repository too, like org/name.")] = "",
    kind: Annotated[str, typer.Option("--type", help="What it is: model, dataset or space.")] = "model",
    json_: JsonOption = False,
) -> None:
    """Find out why models cannot be downloaded from the Hub.

    It says which step fails and what to do.

    Exit code 0: they can; 1: something here is wrong; 2: not known, because the Hub does not answer.
    """
    from dgxcert.cli.json_output import document
    from dgxcert.cli.json_output import hub as documents
    from dgxcert.probes.hub import diagnosis as diagnoses
    from dgxcert.probes.hub.access import repository
    from dgxcert.profiles.checkpoints import KNOWN

    if kind not in repository.TYPES:
        raise CannotStart(f"--type is {kind[:60]!r}; {near_miss.hint(kind, repository.TYPES)}")
    if repo and not REPO.fullmatch(repo):
        raise CannotStart(f"--repo is {repo!r}; it is a name like org/name")
    found = diagnoses.diagnose(KNOWN)
    facts: dict[str, object] = {}
    if repo:
        found, facts = diagnoses.ask_about(repo, kind, found)
    if json_:
        about = {"name": repo, "type": kind, **facts} if repo else None
        document.say(documents.of_diagnosis(found, about))
    else:
        screen.say(_told(found))
    raise typer.Exit(Hub.WORKS if found.failure is None else Hub.FAILS if found.conclusive else Hub.UNKNOWN)


def _told(found: "Diagnosis") -> str:
    """A diagnosis in lines: each step, what was noticed, and what to do."""
    lines = [f"{step.state:8} {step.name:11} {step.detail}" for step in found.steps]
    lines += [f"noticed  {note}" for note in found.notes]
    lines.append(found.meaning if found.failure is None else f"step {found.failed}: {found.meaning}")
    return "\n".join([*lines, *(f"  - {spelled(step)}" for step in found.remedy)])


def _described(cached: "CachedCheckpoint", *, needed: bool) -> str:
    """A checkpoint and the state of each of its files, one line each."""
    pinned = cached.checkpoint
    lines = [
        f"{pinned.repo} at {pinned.revision}",
        f"  {pinned.purpose}; {'needed' if needed else 'not needed'} by this profile",
        *(f"  {file.state:10} {file.name}: {file.detail}" for file in cached.files),
    ]
    if cached.main_problem:
        lines.append(f"  missing    {cached.main_problem}, which code that names no revision loads")
    return "\n".join(lines)
