"""Commands about the Hub: which pinned checkpoints its local cache holds."""

from typing import TYPE_CHECKING

import typer

from dgxcert.cli import screen
from dgxcert.cli.exit_code import Cache
from dgxcert.cli.options import ProfileOption

if TYPE_CHECKING:
    from dgxcert.probes.hub.model_cache import CachedCheckpoint

commands = typer.Typer()


@commands.command()
def cache(profile: ProfileOption = "auto") -> None:
    """List and verify the checkpoints in the Hub cache.

    Exit code 0: all that the profile needs are usable; 1: at least one is not.
    """
    from dgxcert.container import hub_home
    from dgxcert.probes.hub import model_cache
    from dgxcert.profiles.checkpoints import KNOWN
    from dgxcert.runner import session

    needed = session.choose_profile(profile, session.read_machine()).checkpoints
    cached = {repo: model_cache.verify(checkpoint) for repo, checkpoint in KNOWN.items()}
    for repo, checkpoint in cached.items():
        screen.say(_described(checkpoint, needed=repo in needed))
    unusable = [cached[repo] for repo in needed if not cached[repo].usable]
    others = f"; not pinned: {', '.join(names)}" if (names := model_cache.unpinned(KNOWN)) else ""
    state = f"{len(unusable)} of the {len(needed)} that the profile needs are not usable" if unusable else "complete"
    screen.say(f"cache {hub_home.cache()}: {state}{others}")
    for checkpoint in unusable:
        screen.say(f"to download it: {checkpoint.checkpoint.fetch}")
    raise typer.Exit(Cache.INCOMPLETE if unusable else Cache.COMPLETE)


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
