"""Proxy variables with which a client cannot work: requests looks at the one it uses, httpx at all of them.

httpx prepares every proxy that is set when a client is made, so ALL_PROXY=socks5://... stops it although HTTPS_PROXY is
used, and NO_PROXY does not help, except `*`; requests prepares only the one for the request's scheme.
"""

import urllib.request
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from dgxcert.probes.hub.secrets import without_password

SOCKS_OF_REQUESTS = ("socks4", "socks4a", "socks5", "socks5h")
SOCKS_OF_HTTPX = ("socks5", "socks5h")
NAMES = ("https", "http", "all")
Problem = tuple[str, str, tuple[str, ...], bool, str]
"""Variable, meaning, remedy, whether it is fatal, and a key of causes.CAUSES."""


def problems(environ: Mapping[str, str], uses_requests: bool, has: Callable[[str], bool]) -> Iterator[Problem]:
    """What is wrong with the proxies of an environment, for the client that uses requests, or else httpx.

    >>> [found[:2] for found in problems({"all_proxy": "socks://127.0.0.1:7890"}, False, lambda module: True)]
    [('all_proxy', 'httpx knows no proxy of the kind socks://, and makes no connection at all')]
    """
    chosen = {scheme: _chosen(environ, scheme) for scheme in NAMES}
    if not bypasses_all(environ):
        used = [chosen["https"] or chosen["all"]] if uses_requests else [chosen[scheme] for scheme in NAMES]
        for name in filter(None, dict.fromkeys(used)):
            if problem := _problem(name, environ, uses_requests, has):
                *said, _, cause = problem
                # requests asks NO_PROXY first, and prepares no proxy for a host that it names.
                yield (*said, not (uses_requests and bypasses_the_hub(environ)), cause)  # type: ignore[misc]  # a Problem
    yield from _disagreements(environ)


def _chosen(environ: Mapping[str, str], scheme: str) -> str:
    """The variable that Python takes for a scheme: the one in lower case, even where it is empty."""
    lower, upper = f"{scheme}_proxy", f"{scheme}_proxy".upper()
    if lower in environ:
        return lower if environ[lower] else ""
    # A server's CGI variables could set HTTP_PROXY from a header of a request, so that Python ignores it there.
    return upper if environ.get(upper) and not (scheme == "http" and "REQUEST_METHOD" in environ) else ""


def bypasses_all(environ: Mapping[str, str]) -> bool:
    """Whether NO_PROXY switches every proxy off for httpx, which looks for `*` among its names (httpx/_utils.py).

    >>> bypasses_all({"NO_PROXY": "localhost, * "}), bypasses_all({"NO_PROXY": "*.example.com"})
    (True, False)
    """
    names = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    return "*" in [name.strip() for name in names.split(",")]


def bypasses_the_hub(environ: Mapping[str, str]) -> bool:
    """Whether NO_PROXY names the Hub's host, or the mirror's.

    >>> bypasses_the_hub({"HF_ENDPOINT": "https://hub.lab.example", "no_proxy": ".lab.example"})
    True
    """
    host = urlsplit(environ.get("HF_ENDPOINT") or "https://huggingface.co").hostname or ""
    names = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    return bool(urllib.request.proxy_bypass_environment(host, {"no": names}))  # type: ignore[attr-defined]  # typeshed


def _problem(name: str, environ: Mapping[str, str], uses_requests: bool, has: Callable[[str], bool]) -> Problem | None:
    value = environ[name].strip()
    scheme = value.partition("://")[0].lower() if "://" in value else "http"
    client, socks = ("requests", SOCKS_OF_REQUESTS) if uses_requests else ("httpx", SOCKS_OF_HTTPX)
    address = without_password(value).partition("://")[2]
    without = f"unset {name}"
    if scheme in socks:
        module, extra = ("socks", "pysocks") if uses_requests else ("socksio", "socksio")
        if has(module):
            return None
        meaning = f"{client} needs the package {extra} for a SOCKS proxy, and it is not installed"
        return name, meaning, (f"pip install {extra}", f"export {name}=http://{address}", without), True, "variable"
    if scheme not in ("http", "https"):
        meaning = f"{client} knows no proxy of the kind {scheme}://, and makes no connection at all"
        known = "socks5" if scheme.startswith("socks") else "http"
        return name, meaning, (f"export {name}={known}://{address}", without), True, "proxy-url"
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if usable and not value.startswith(("'", '"')):
        return None
    return name, f"{client} cannot parse it", (f"export {name}=http://PROXY:PORT", without), True, "proxy-url"


def _disagreements(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Python prefers the name in lower case; hf_xet, which is written in Rust, the one in upper case."""
    for scheme in (*NAMES, "no"):
        lower, upper = f"{scheme}_proxy", f"{scheme}_proxy".upper()
        if lower in environ and environ.get(upper) and environ[lower].rstrip("/") != environ[upper].rstrip("/"):
            meaning = f"{upper} has another value: Python's clients take {lower}, hf_xet takes {upper}"
            yield lower, meaning, (f'export {lower}="${upper}"',), False, ""
