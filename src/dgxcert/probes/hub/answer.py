"""What an answer of the Hub is: what was asked for, a refusal of its own, or somebody else's page."""

import json
from typing import Any

from dgxcert.probes.hub.http_request import REDIRECTS, Answer, Trouble, named, target
from dgxcert.probes.hub.secrets import without_password

GATES = {"GatedRepo": "gated", "RepoNotFound": "missing", "RevisionNotFound": "missing", "EntryNotFound": "missing"}
"""What the Hub says in X-Error-Code: the cause."""
BY_STATUS = {401: "bad-token", 403: "proxy-page", 404: "missing"}


def content(answer: Answer) -> dict[str, Any]:
    """An answer of the Hub's API; raises Trouble for a page, which is somebody else's."""
    if answer.status in REDIRECTS:
        to = without_password(answer.headers.get("location", "nowhere"))
        raise Trouble("captive", answer.host, f"HTTP {answer.status} leads to {to}")
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    _must_not_be_in_trouble(answer)
    cause = "captive" if answer.status == 200 else "proxy-page"
    raise Trouble(cause, answer.host, f"HTTP {answer.status} with a page that is not the Hub's: {answer.start!r}")


def _must_not_be_in_trouble(answer: Answer) -> None:
    if answer.status == 429:
        wait = answer.headers.get("retry-after") or answer.headers.get("ratelimit", "no word on how long")
        raise Trouble("rate", answer.host, f"HTTP 429: {wait}")
    if answer.status >= 500:
        raise Trouble("broken", answer.host, f"HTTP {answer.status}: {answer.start!r}")
    if answer.status == 407:
        proxy = named(*target(answer.url))
        raise Trouble("proxy-login", proxy, f"HTTP 407 from {proxy}")


def must_be_well(answer: Answer) -> None:
    """Raise Trouble for any answer that does not give what was asked for."""
    _must_not_be_in_trouble(answer)
    if answer.status in (200, 206):
        return
    said = answer.headers.get("x-error-message", "") or answer.start
    found = f"HTTP {answer.status} for {without_password(answer.url)}: {said[:160]!r}"
    if code := answer.headers.get("x-error-code"):
        raise Trouble(GATES.get(code, "http-other"), answer.host, f"{code}, {found}")
    raise Trouble(BY_STATUS.get(answer.status, "http-other"), answer.host, found)


def must_bring_bytes(answer: Answer, size: int) -> None:
    """Raise Trouble unless the answer is part of a file of that size: a page may come with any status and type."""
    if answer.status == 403:
        found = f"HTTP 403 from {answer.host}: {answer.start!r}"
        raise Trouble("proxy-page", answer.host, found)
    if answer.status in REDIRECTS:
        to = without_password(answer.headers.get("location", "nowhere"))
        raise Trouble("captive", answer.host, f"HTTP {answer.status} leads to {to}")
    must_be_well(answer)
    whole = answer.status == 200 and answer.headers.get("content-length") == str(size)
    if answer.status != 206 and not whole:
        raise Trouble("captive", answer.host, f"something else than the file: HTTP {answer.status}, {answer.start!r}")
