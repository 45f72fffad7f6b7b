"""The user's Hub token, lent to a container as a file: never in an environment, a process list or an image."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


@contextmanager
def as_file() -> Iterator[Path]:
    """The file that holds the token, for as long as a container may read it; an empty file where there is none.

    Looks where the Hub's client looks, in its order, after a file that was named for this (HF_TOKEN_FILE). What stands
    in a variable is lent in a folder that outlives a login: a run goes on when its user has logged out.
    """
    token = next((found for name in VARIABLES if (found := os.environ.get(name, "").strip())), "")
    named = _existing(os.environ.get("HF_TOKEN_FILE"))
    if named is None and not token:
        named = _existing(os.environ.get("HF_TOKEN_PATH") or f"{_home()}/token")
    if named is not None:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="dgxcert-token-") as private:
        lent = Path(private, "hf_token")
        lent.touch(mode=0o600)
        lent.write_text(token, encoding="utf-8")
        yield lent


def _home() -> str:
    return os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"


def _existing(name: str | None) -> Path | None:
    path = Path(name).expanduser() if name else None
    return path.resolve() if path is not None and path.is_file() else None
