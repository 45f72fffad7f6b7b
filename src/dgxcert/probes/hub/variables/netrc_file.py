"""The entry of a netrc file that requests sends in the token's place.

requests looks for one whenever a request has no `auth` of its own, and huggingface_hub passes the token as a header:
the entry wins (psf/requests#3929, huggingface_hub#2765). httpx reads no netrc unless it is told to.
"""

import base64
import netrc
import os
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """The file and the value of the header Authorization that is made of the entry."""

    path: Path
    authorization: str


def entry(host: str) -> Entry | None:
    """The entry for a host, or the file's default, as requests finds it; None without one."""
    named = os.environ.get("NETRC")
    places = (named,) if named is not None else ("~/.netrc", "~/_netrc")
    path = next((path for place in places if (path := Path(os.path.expanduser(place))).exists()), None)
    if path is None or not host:
        return None
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (netrc.NetrcParseError, OSError, UnicodeError):
        return None  # requests goes on without it
    if not found or not any(found):
        return None
    login, account, password = found
    user = f"{login or account or ''}:{password or ''}"
    return Entry(path, f"Basic {base64.b64encode(user.encode('latin-1', 'replace')).decode()}")
