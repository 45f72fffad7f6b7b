"""Where the user's Hub token is found; a container is handed it on a socket, not in a file or a variable."""

import contextlib
import os
from pathlib import Path

from dgxcert.container import hub_home
from dgxcert.files import untrusted

VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
LONGEST = 65536
"""Bytes of a file that may hold a token."""


def find() -> tuple[str, str]:
    """The token and its source, in the order of the Hub's client; both empty where there is none.

    Raises OSError where a token file cannot be read, UnicodeError where it is not text.
    """
    for name in VARIABLES:
        if token := _clean(os.environ.get(name, "")):
            return token, name
    path = _path()
    try:
        token = _clean(path.read_text(encoding="utf-8"))
    except FileNotFoundError:  # any other error ends the client, as where a folder is in the file's place
        return "", ""
    return token, ("HF_TOKEN_PATH" if os.environ.get("HF_TOKEN_PATH") else "the file that `hf auth login` wrote")


def _clean(token: str) -> str:
    """The token without line ends, which the client removes wherever they are."""
    return token.replace("\r", "").replace("\n", "").strip()


def for_container() -> str:
    """The token that is handed to a container; empty where there is none that can be read.

    $HF_TOKEN_FILE comes first, then the places of the Hub's client in its order.
    """
    if named := os.environ.get("HF_TOKEN_FILE"):
        with contextlib.suppress(OSError):
            return _clean(untrusted.read_text(hub_home.expanded(named), at_most=LONGEST, follow=True))
    try:
        return find()[0]
    except (OSError, UnicodeError):
        return ""


def _path() -> Path:
    """The file in which the Hub's client stores a token."""
    named = os.environ.get("HF_TOKEN_PATH")
    return hub_home.expanded(named) if named else hub_home.home() / "token"
