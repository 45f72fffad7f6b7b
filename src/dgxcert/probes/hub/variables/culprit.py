"""Which variable keeps the client from downloading, where every host answers: by trying without it."""

import os
from collections.abc import Callable, Mapping

from dgxcert.probes.hub.variables import known
from dgxcert.probes.hub.variables.known import Kind

NEEDED = {"HF_ENDPOINT", "HF_TOKEN_PATH", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "HF_XET_CACHE"}
"""Without these the client would ask another Hub, or as another user."""
OF_PYTHON = ("PYTHONWARNINGS",)
"""With `error` a warning of any library ends a download."""
OF_TQDM = "TQDM_"
"""tqdm takes each such variable for an argument of its bars, and cannot be imported where it is no number
(tqdm/utils.py, envwrap)."""
KEPT_KINDS = {Kind.SECRET, Kind.PROXY}
CERTIFICATES = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}


def candidates(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The variables that are set and that only say how the client downloads.

    >>> candidates({"HF_TOKEN": "x", "HF_HUB_ETAG_TIMEOUT": "1", "HF_XET_CLIENT_READ_TIMEOUT": "1ms"})
    ('HF_HUB_ETAG_TIMEOUT', 'HF_XET_CLIENT_READ_TIMEOUT')
    >>> candidates({"TQDM_MININTERVAL": "soon", "PYTHONWARNINGS": "error", "PYTHONPATH": "/lab"})
    ('PYTHONWARNINGS', 'TQDM_MININTERVAL')
    """
    kinds = known.kinds()
    kept = NEEDED | CERTIFICATES
    read = {name for name in environ if name in kinds and name not in kept and kinds[name] not in KEPT_KINDS}
    others = {name for name in environ if name in OF_PYTHON or name.startswith(OF_TQDM)}
    return tuple(sorted(read | others))


def find(works_without: Callable[[tuple[str, ...]], bool], environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The variables without which a download works: one where one is enough; empty where they are not the cause.

    `works_without` downloads in an environment that lacks the variables; False as well where its time is over.
    """
    names = candidates(environ)
    if not names or not works_without(names):
        return ()
    if len(names) == 1:
        return names
    return next(((name,) for name in names if works_without((name,))), names)
