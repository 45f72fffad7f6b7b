"""The user's Hub token, lent to a container as a file: never in an environment, a process list or an image."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKING_MEMORY = "XDG_RUNTIME_DIR"
"""Names the user's own folder that no disk keeps, where there is one."""


@contextmanager
def as_file() -> Iterator[Path]:
    """The file that holds the token, for as long as a container may read it; an empty file where there is none.

    Looks where the Hub's client looks, in its order, after a file that was named for this (HF_TOKEN_FILE).
    """
    token = os.environ.get("HF_TOKEN", "").strip()
    named = _existing(os.environ.get("HF_TOKEN_FILE"))
    if named is None and not token:
        named = _existing(os.environ.get("HF_TOKEN_PATH")) or _existing(f"{_home()}/token")
    if named is not None:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="dgxcert-token-", dir=os.environ.get(WORKING_MEMORY)) as private:
        lent = Path(private, "hf_token")
        lent.touch(mode=0o600)
        lent.write_text(token, encoding="utf-8")
        yield lent


def _home() -> str:
    return os.environ.get("HF_HOME") or "~/.cache/huggingface"


def _existing(name: str | None) -> Path | None:
    path = Path(name).expanduser() if name else None
    return path.resolve() if path is not None and path.is_file() else None
