"""What to do where the Hub is switched off and the cache lacks a model: download it, where a notebook looks for it."""

import shlex
from pathlib import Path

from dgxcert.container import hub_home
from dgxcert.probes.hub import model_cache
from dgxcert.probes.hub.model_cache import CachedCheckpoint


def remedy_of(unusable: list[CachedCheckpoint], cache: Path, legacy: str) -> tuple[str, ...]:
    """The steps: without the variable that names another cache, where that is enough, else the downloads.

    `legacy` is the variable that names `cache` for transformers alone; empty where that is the Hub cache.
    """
    if unusable and legacy and all(model_cache.verify(entry.checkpoint).usable for entry in unusable):
        return (f"{hub_home.cache()} holds it: unset {legacy}",)
    return tuple(f"With the Hub switched on, download it: {fetch(entry, cache)}" for entry in unusable)


def fetch(entry: CachedCheckpoint, cache: Path) -> str:
    """The command that downloads a checkpoint into a cache, which it names unless it is the Hub cache."""
    named = "" if cache == hub_home.cache() else f" --cache-dir {shlex.quote(str(cache))}"
    return f"{entry.checkpoint.fetch}{named}"
