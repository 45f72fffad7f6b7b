"""The Hub token of a user: where it is, and how a container gets it: as a file, in no environment and no image."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dgxcert.container import hub_home

VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def find() -> tuple[str, str]:
    """The token and where it comes from, as the Hub's client looks for it; both empty where there is none.

    Raises OSError where a token file is there and cannot be read, UnicodeError where it holds no text.
    """
    for name in VARIABLES:
        if token := _clean(os.environ.get(name, "")):
            return token, name
    path = _path()
    if not path.is_file():
        return "", ""
    token = _clean(path.read_text(encoding="utf-8"))
    return token, ("HF_TOKEN_PATH" if os.environ.get("HF_TOKEN_PATH") else "the file that `hf auth login` wrote")


def _clean(token: str) -> str:
    """Without line ends, which the client leaves out wherever they stand."""
    return token.replace("\r", "").replace("\n", "").strip()


@contextmanager
def as_file() -> Iterator[Path]:
    """The file that holds the token, for as long as a container may read it; an empty file where there is none.

    Looks where the Hub's client looks, in its order, after a file that was named for this (HF_TOKEN_FILE). What stands
    in a variable is lent in a folder that outlives a login: a run goes on when its user has logged out.
    """
    token = next((found for name in VARIABLES if (found := os.environ.get(name, "").strip())), "")
    named = _existing(os.environ.get("HF_TOKEN_FILE"))
    if named is None and not token:
        named = _existing(str(_path()))
    if named is not None:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="dgxcert-token-") as private:
        lent = Path(private, "hf_token")
        lent.touch(mode=0o600)
        lent.write_text(token, encoding="utf-8")
        yield lent


def _path() -> Path:
    """The file in which the Hub's client keeps a token."""
    named = os.environ.get("HF_TOKEN_PATH")
    return hub_home.expanded(named) if named else hub_home.home() / "token"


def _existing(name: str | None) -> Path | None:
    path = hub_home.expanded(name) if name else None
    return path.resolve() if path is not None and path.is_file() else None
