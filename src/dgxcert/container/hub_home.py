"""The folders of the Hub's client: its home and its cache of models, by the same variables as huggingface_hub."""

import os
from pathlib import Path

CACHES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
"""Variables that name the cache; the second is the older name."""


def expanded(name: str) -> Path:
    """A path with `~` and variables expanded; without a home `~` stays, as it does for the client."""
    return Path(os.path.expandvars(os.path.expanduser(name)))


def home() -> Path:
    """The client's home: $HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface."""
    return expanded(os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface")


def cache() -> Path:
    """The folder of the models: $HF_HUB_CACHE, else `hub` in the home."""
    named = next((os.environ[name] for name in CACHES if os.environ.get(name)), "")
    return expanded(named) if named else home() / "hub"
