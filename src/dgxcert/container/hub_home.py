"""Where the Hub's client keeps what it keeps: its home and its cache of models, named as the client reads them."""

import os
from pathlib import Path

CACHES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")


def expanded(name: str) -> Path:
    """A path with `~` and variables filled in; where there is no home, it stays as it is, as it does for the client."""
    return Path(os.path.expandvars(os.path.expanduser(name)))


def home() -> Path:
    """The folder of all that the client keeps."""
    return expanded(os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface")


def cache() -> Path:
    """The folder of the models."""
    named = next((os.environ[name] for name in CACHES if os.environ.get(name)), "")
    return expanded(named) if named else home() / "hub"
