"""A response is the Hub's own, or a refusal with a cause: a web page of a proxy or a portal never passes for it."""

import json
from typing import Any

from dgxcert.probes.hub.http_request import REDIRECTS, RequestFailed, Response, connection_target, netloc
from dgxcert.probes.hub.secrets import without_password

CAUSE_BY_ERROR_CODE = {
    "GatedRepo": "gated",
    "RepoNotFound": "not-found",
    "RevisionNotFound": "not-found",
    "EntryNotFound": "not-found",
}
"""By the Hub's header X-Error-Code."""
CAUSE_BY_STATUS = {401: "bad-token", 403: "blocked", 404: "not-found"}


def json_body(response: Response) -> dict[str, Any]:
    """The JSON object that the Hub's API sent. Raises RequestFailed for a web page, which is not the Hub's."""
    _reject_redirect(response)
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    _reject_unavailable(response)
    cause = "captive-portal" if response.status == 200 else "blocked"
    message = f"HTTP {response.status} with a page that is not the Hub's: {response.excerpt!r}"
    raise RequestFailed(cause, response.host, message)


def _reject_redirect(response: Response) -> None:
    """A redirect that was not followed points to another host: that of a portal's log-in page."""
    if response.status in REDIRECTS:
        location = without_password(response.headers.get("location", "nowhere"))
        raise RequestFailed("captive-portal", response.host, f"HTTP {response.status} redirects to {location}")


def _reject_unavailable(response: Response) -> None:
    """Raise RequestFailed for the statuses that are about the server or the proxy, not about what was requested."""
    if response.status == 429:
        wait = response.headers.get("retry-after") or response.headers.get("ratelimit", "without a time to wait")
        raise RequestFailed("rate-limited", response.host, f"HTTP 429: {wait}")
    if response.status >= 500:
        raise RequestFailed("server-error", response.host, f"HTTP {response.status}: {response.excerpt!r}")
    if response.status == 407:
        proxy = netloc(*connection_target(response.url))
        raise RequestFailed("proxy-login", proxy, f"HTTP 407 from {proxy}")


def require_success(response: Response) -> None:
    """Raise RequestFailed for any response but 200 and 206."""
    _reject_unavailable(response)
    if response.status in (200, 206):
        return
    reason = response.headers.get("x-error-message", "") or response.excerpt
    message = f"HTTP {response.status} for {without_password(response.url)}: {reason[:160]!r}"
    if code := response.headers.get("x-error-code"):
        cause = CAUSE_BY_ERROR_CODE.get(code, "unexpected-response")
        raise RequestFailed(cause, response.host, f"{code}, {message}")
    raise RequestFailed(CAUSE_BY_STATUS.get(response.status, "unexpected-response"), response.host, message)


def require_file_bytes(response: Response, size_bytes: int) -> None:
    """Raise RequestFailed unless the response is a part of a file of this size.

    A filter's page may have any status and any content type, but neither status 206 nor the file's length.
    """
    if response.status == 403:
        message = f"HTTP 403 from {response.host}: {response.excerpt!r}"
        raise RequestFailed("blocked", response.host, message)
    _reject_redirect(response)
    require_success(response)
    is_whole = response.status == 200 and response.headers.get("content-length") == str(size_bytes)
    if response.status != 206 and not is_whole:
        message = f"not the file: HTTP {response.status}, {response.excerpt!r}"
        raise RequestFailed("captive-portal", response.host, message)
