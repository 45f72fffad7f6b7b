"""The steps of the diagnosis that need no client, in order, each reported when it begins and when it ends.

Run as `python -m dgxcert.probes.hub.steps REPO REVISION FILE SIZE` it prints one JSON line when a step begins and one
when it ends, and stops at the first that fails. The parent process kills it where a step exceeds its time limit:
getaddrinfo, for one, has no timeout that a caller can set.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from dgxcert.probes.hub import addresses, http_request, secrets, storage, trust_store
from dgxcert.probes.hub import settings as hub_settings
from dgxcert.probes.hub.access import token as token_access
from dgxcert.probes.hub.causes import STORAGE
from dgxcert.probes.hub.context import Context, ProbedFile, Skipped
from dgxcert.probes.hub.http_request import RequestFailed, Response
from dgxcert.probes.hub.response import json_body, require_success
from dgxcert.probes.hub.secrets import without_password
from dgxcert.probes.hub.settings import InvalidSetting
from dgxcert.probes.hub.storage import fetch_first_part, request_read_token, request_reconstruction
from dgxcert.probes.hub.variables import findings

SHA256_DIGITS = 64
CLOCK_TOLERANCE_S = 300.0
"""A difference between two clocks that neither TLS nor a signed URL notices."""
UNSUPPORTED = (301, 302, 307, 308, 404, 405, 501)
"""Statuses with which mirrors answer a route that only the public Hub has."""


def read_settings(context: Context) -> str:
    """Read and validate the settings; what is odd about the variables that are set is noted."""
    context.loaded_settings = hub_settings.read()
    context.notes += [finding.summary for finding in findings.read()]
    return context.settings.summary


def resolve_host(context: Context) -> str:
    """Resolve the Hub's name, or the proxy's: with a proxy it is the proxy that resolves the Hub."""
    endpoint = context.settings.endpoint
    host, port = http_request.connection_target(endpoint)
    try:
        addresses = http_request.resolve(host, port)
    except RequestFailed as failure:
        cause = "proxy-unreachable" if hub_settings.proxy_for(endpoint) else failure.cause
        raise RequestFailed(cause, failure.host, str(failure)) from failure
    return f"{host} is {', '.join(addresses[:3])}{' and more' if len(addresses) > 3 else ''}"


def connect(context: Context) -> str:
    """Open a connection, through the proxy where one is configured."""
    endpoint = context.settings.endpoint
    with http_request.connect(endpoint) as connection:
        host, port = connection.getpeername()[:2]
    _require_every_address(*http_request.connection_target(endpoint))
    return f"connected to {host} port {port}"


def _require_every_address(host: str, port: int) -> None:
    """Raise RequestFailed where an address that Python's clients try first is silent, and a later one answers."""
    if lost := addresses.lost(host):
        raise RequestFailed(lost.cause, http_request.netloc(host, port), f"{host}: {lost.detail}")


def fetch_from_cdn(context: Context) -> str:
    """Fetch one byte from the CDN, whose host Python's clients connect to."""
    detail, response = storage.fetch_from_cdn(context)
    _require_every_address(*http_request.connection_target(response.url))
    return detail


def verify_certificate(context: Context) -> str:
    """Verify the Hub's certificate with the authorities that the client trusts."""
    endpoint = context.settings.endpoint
    if urlsplit(endpoint).scheme == "http":
        raise Skipped("the endpoint does not use TLS")
    trust = trust_store.ssl_context(context.settings.ca_variables)
    try:
        with http_request.connect_tls(endpoint, trust) as secured:
            version = secured.version()
    except RequestFailed as failure:
        if failure.cause in ("tls-expired", "tls-not-yet-valid"):
            raise _dated(failure, endpoint) from failure
        if failure.cause != "tls-untrusted":
            raise
        message = f"{failure}{_ignored_variables(context)}"
        raise RequestFailed(failure.cause, failure.host, message) from failure
    return f"{version}, signed by {http_request.peer_issuer(endpoint)}"


def _dated(failure: RequestFailed, endpoint: str) -> RequestFailed:
    """A certificate that is out of date: whether by this machine's clock or by itself, as the server's clock tells."""
    ahead_s = http_request.clock_ahead_s(endpoint)
    if ahead_s is None:
        return failure
    if abs(ahead_s) < CLOCK_TOLERANCE_S:
        cause = "certificate-expired" if failure.cause == "tls-expired" else "certificate-of-the-future"
        return RequestFailed(cause, failure.host, f"{failure}; this machine's clock agrees with the server's")
    cause = "clock-ahead" if ahead_s > 0 else "clock-behind"
    return RequestFailed(cause, failure.host, f"{failure}; this machine's clock is {offset(ahead_s)} the server's")


def offset(ahead_s: float) -> str:
    """A difference between two clocks in words.

    >>> offset(-3 * 86400), offset(7200)
    ('3.0 days behind', '2.0 hours ahead of')
    """
    hours = abs(ahead_s) / 3600
    size = f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
    return f"{size} {'ahead of' if ahead_s > 0 else 'behind'}"


def _ignored_variables(context: Context) -> str:
    """The certificate variables that are set and that this client does not read."""
    variables = context.settings.ca_variables
    used = {os.environ.get(name) for name in variables}
    known = (*trust_store.HTTPX, *trust_store.REQUESTS)
    ignored = [name for name in known if os.environ.get(name) and os.environ[name] not in used]
    if not ignored:
        return ""
    trusts = trust_store.description(variables)
    return f"; this version of huggingface_hub trusts {trusts} and does not read {', '.join(ignored)}"


def fetch_model_info(context: Context) -> str:
    """Request the model's entry from the API."""
    path = f"/api/models/{context.probed.repo}"
    response = context.get(path, api=True)
    _note_clock_and_host(context, response)
    # 401 may be about the token or about the model: the steps `identity` and `gate` show which.
    if response.status == 401 and context.settings.authorization:
        return f"the Hub answers 401: {response.excerpt!r}"
    body = json_body(response)
    if response.status in (401, 403) and "error" in body:
        return f"the Hub answers {response.status}: {response.excerpt!r}"
    require_success(response)
    if context.probed.repo not in (body.get("id"), body.get("modelId")):
        message = f"HTTP {response.status} names no model: {response.excerpt!r}"
        raise RequestFailed("captive-portal", response.host, message)
    return f"HTTP {response.status} for {context.probed.repo}"


def _note_clock_and_host(context: Context, response: Response) -> None:
    ahead_s = http_request.clock_ahead_of(response)
    if ahead_s is not None and abs(ahead_s) > CLOCK_TOLERANCE_S:
        context.notes.append(f"this machine's clock is {offset(ahead_s)} the Hub's")
    if urlsplit(response.url).netloc != urlsplit(context.settings.endpoint).netloc.rpartition("@")[2]:
        context.notes.append(f"{context.settings.host} sends requests to its API on to {response.host}")


def verify_token(context: Context) -> str:
    """Verify the token; without one public models still work."""
    settings = context.settings
    if not settings.authorization:
        return "no token: public models only, and a lower rate limit"
    response = context.get("/api/whoami-v2", api=True)
    if settings.is_mirror and (response.status in UNSUPPORTED or response.host != _host_of(settings)):
        raise Skipped(f"HTTP {response.status}: this mirror has no whoami; the next steps test the access itself")
    body = json_body(response)
    require_success(response)
    context.access = token_access.parse(body)
    source = str(settings.netrc.path) if settings.netrc else settings.token_source
    return f"token from {source} is valid, {context.access.summary}, of a {body.get('type', 'user')}"


def _host_of(settings: hub_settings.Settings) -> str:
    return http_request.netloc(*http_request.host_and_port(settings.endpoint))


def check_access(context: Context) -> str:
    """Whether the pinned revision is open to this user, and how many requests are left."""
    response = context.get(f"/api/models/{context.probed.repo}/revision/{context.probed.revision}", api=True)
    body = json_body(response)
    require_success(response)
    rate_limit = response.headers.get("ratelimit", "")
    return f"gated: {body.get('gated', False)}, rate limit: {rate_limit or 'unknown'}"


def fetch_metadata(context: Context) -> str:
    """Request commit, hash and size of the file, which a download needs first."""
    probed = context.probed
    response = context.get(probed.path, method="HEAD")
    headers = response.headers
    if (base := http_request.sent_on_to(response, probed.path)) and "x-repo-commit" not in headers:
        raise sends_on(response, base)
    if response.status not in (200, 302, 307):
        require_success(response)
    etag = headers.get("x-linked-etag", headers.get("etag", "")).strip('"').removeprefix('W/"')
    size = headers.get("x-linked-size") or headers.get("content-length", "")
    commit = headers.get("x-repo-commit")
    description = f"{probed.name}: commit {commit}, hash {etag or None}, {size or 'unknown'} bytes"
    # Without a hash changed bytes would go unnoticed. Mirrors may use another one than SHA-256.
    has_hash = len(etag) == SHA256_DIGITS or (bool(etag) and context.settings.is_mirror)
    if commit != probed.revision or not has_hash:
        raise RequestFailed("no-metadata", response.host, f"{description}, from {without_password(response.url)}")
    if len(etag) == SHA256_DIGITS and size != str(probed.size_bytes):
        raise RequestFailed("wrong-bytes", response.host, f"{description}, expected {probed.size_bytes} bytes")
    context.metadata = response
    return description


def sends_on(response: Response, base: str) -> RequestFailed:
    """A server that only sends requests for files on: the client follows that within a host alone."""
    remedy = ("Use the public Hub: unset HF_ENDPOINT", f"Or name the address itself: export HF_ENDPOINT={base}")
    detail = f"HTTP {response.status}: the mirror only sends on to {base}"
    return RequestFailed("mirror-redirects", response.host, detail, remedy)


STEPS: tuple[tuple[str, Callable[[Context], str]], ...] = (
    ("settings", read_settings),
    ("dns", resolve_host),
    ("tcp", connect),
    ("tls", verify_certificate),
    ("http", fetch_model_info),
    ("identity", verify_token),
    ("gate", check_access),
    ("metadata", fetch_metadata),
    ("cas-address", request_read_token),
    ("cas", request_reconstruction),
    ("transfer", fetch_first_part),
    ("cdn", fetch_from_cdn),
)


def run_step(name: str, step: Callable[[Context], str], context: Context) -> dict[str, object]:
    """Run one step; its result by the fields of diagnosis.Step."""
    started = time.monotonic()
    result: dict[str, object] = {"name": name, "state": "ok", "cause": "", "host": ""}
    try:
        result["detail"] = _run_with_retry(name, step, context)
    except Skipped as reason:
        result |= {"state": "skipped", "detail": str(reason)}
    except InvalidSetting as error:
        result |= {"state": "failed", "cause": error.cause, "detail": str(error), "remedy": error.remedy}
    except RequestFailed as failure:
        cause, detail = _refined(failure.cause, str(failure), context)
        result |= {"state": "failed", "cause": cause, "host": failure.host, "detail": detail}
        result |= {"remedy": failure.remedy}
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # JSON of a shape that no Hub sends
        detail = f"a response that cannot be parsed: {type(error).__name__}: {error}"
        result |= {"state": "failed", "cause": "unexpected-response", "host": host_of(name, context), "detail": detail}
    token = context.settings.token if context.loaded_settings else ""
    scrubbed = [secrets.scrub(text, token, context.read_token) for text in (str(result["detail"]), *context.notes)]
    context.notes.clear()
    return result | {"detail": scrubbed[0], "notes": scrubbed[1:], "seconds": round(time.monotonic() - started, 3)}


def _refined(cause: str, detail: str, context: Context) -> tuple[str, str]:
    """Cause and detail as far as the settings and the token's rights explain them."""
    if cause == "gated":
        return token_access.cause_of_gate(detail, context.access), detail
    if cause != "bad-token":
        return cause, detail
    if context.loaded_settings is not None and (entry := context.settings.netrc):
        return "netrc", f"{detail}, for the entry of {entry.path}"
    if context.loaded_settings is None or not context.settings.token:
        return "login-required", detail
    return ("token-expired" if "expired" in detail.lower() else cause), detail


def _run_with_retry(name: str, step: Callable[[Context], str], context: Context) -> str:
    """Retry once: a connection that is reset once, or a storage host that is slow once, is normal for a network."""
    transient = {"connection-closed", "timeout"} if name in STORAGE else {"connection-closed"}
    try:
        return step(context)
    except RequestFailed as failure:
        if failure.cause not in transient:
            raise
    return step(context)


def host_of(name: str, context: Context) -> str:
    """The host that a step is about to contact, for the parent process, which may have to kill the step."""
    endpoint = context.settings.endpoint if context.loaded_settings else ""
    url = {"cas": context.cas_url, "transfer": context.first_part[0]}.get(name) or endpoint
    try:
        host, port = http_request.connection_target(url) if name in ("dns", "tcp") else http_request.host_and_port(url)
    except (ValueError, RequestFailed):
        return ""
    return host if name == "dns" or not host else http_request.netloc(host, port)


def main() -> None:
    """Run the steps up to the first that fails; where a storage host fails, the CDN is tested as well."""
    context, failed = Context(ProbedFile.from_arguments(sys.argv[1:])), ""
    for name, step in STEPS:
        # Whether the CDN answers decides whether the remedy may say to switch Xet off.
        if failed and not (name == "cdn" and failed in ("cas-address", *STORAGE)):
            continue
        print(json.dumps({"begun": name, "host": host_of(name, context)}), flush=True)  # noqa: T201 (diagnosis.py reads its lines)
        result = run_step(name, step, context)
        print(json.dumps(result), flush=True)  # noqa: T201 (the same)
        failed = failed or (name if result["state"] == "failed" else "")


if __name__ == "__main__":
    main()
