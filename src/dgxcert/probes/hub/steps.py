"""The steps of the diagnosis that need no client: from settings to the CDN, each said aloud as it begins and ends.

Run as `python -m dgxcert.probes.hub.steps REPO REVISION FILE SIZE` it prints one JSON line when a step begins and one
when it has ended, and stops at the first that fails. Whoever reads them ends the process when a step takes too long.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from dgxcert.probes.hub import http_request, secrets, trust_store
from dgxcert.probes.hub import settings as hub_settings
from dgxcert.probes.hub.answer import content, must_be_well
from dgxcert.probes.hub.causes import STORAGE
from dgxcert.probes.hub.context import Probed, Skipped, Walk
from dgxcert.probes.hub.http_request import Trouble
from dgxcert.probes.hub.secrets import without_password
from dgxcert.probes.hub.settings import Unusable
from dgxcert.probes.hub.storage import cas, cas_address, cdn, transfer

SHA256 = 64
NOT_ASKED = (301, 302, 307, 308, 404, 405, 501)
"""What mirrors answer to a question that only the public Hub knows."""


def settings(walk: Walk) -> str:
    """Read what is in force."""
    walk.settings = hub_settings.read()
    return walk.settings.words()


def dns(walk: Walk) -> str:
    """Look up the Hub, or the proxy, which looks it up itself."""
    host, port = http_request.target(walk.here.endpoint)
    try:
        found = http_request.resolve(host, port)
    except Trouble as trouble:
        cause = "proxy-away" if hub_settings.proxy_for(walk.here.endpoint) else trouble.cause
        raise Trouble(cause, trouble.host, str(trouble)) from trouble
    return f"{host} is {', '.join(found[:3])}{' and more' if len(found) > 3 else ''}"


def tcp(walk: Walk) -> str:
    """Connect, through the proxy where one is in force."""
    with http_request.connect(walk.here.endpoint) as made:
        host, port = made.getpeername()[:2]
    return f"connected to {host} port {port}"


def tls(walk: Walk) -> str:
    """Have the Hub prove who it is to the certificates that the client trusts."""
    if urlsplit(walk.here.endpoint).scheme == "http":
        raise Skipped("the endpoint is asked without TLS")
    trust = trust_store.context(walk.here.trust)
    try:
        with http_request.proven(walk.here.endpoint, trust) as secured:
            version = secured.version()
    except Trouble as trouble:
        if trouble.cause != "tls-issuer":
            raise
        raise Trouble(trouble.cause, trouble.host, f"{trouble}{_not_looked_at(walk)}") from trouble
    return f"{version}, signed by {http_request.issuer(walk.here.endpoint)}"


def _not_looked_at(walk: Walk) -> str:
    """The certificates that somebody has named where this client does not look for them."""
    used = {os.environ.get(name) for name in walk.here.trust}
    every = (*trust_store.HTTPX, *trust_store.REQUESTS)
    unused = [name for name in every if os.environ.get(name) and os.environ[name] not in used]
    trusts = trust_store.told(walk.here.trust)
    return f"; this huggingface_hub trusts {trusts} and does not look at {', '.join(unused)}" if unused else ""


def http(walk: Walk) -> str:
    """Ask for a model's card."""
    answer = walk.get(f"/api/models/{walk.probed.repo}")
    if answer.status == 401 and walk.here.token:  # whether for the token or for the model, the next steps find out
        return f"the Hub answers 401: {answer.start!r}"
    body = content(answer)
    if answer.status in (401, 403) and "error" in body:
        return f"the Hub answers {answer.status}: {answer.start!r}"
    must_be_well(answer)
    if walk.probed.repo not in (body.get("id"), body.get("modelId")):
        raise Trouble("captive", answer.host, f"HTTP {answer.status} names no model: {answer.start!r}")
    return f"HTTP {answer.status}, and it names {walk.probed.repo}"


def identity(walk: Walk) -> str:
    """Who the Hub takes us for."""
    if not walk.here.token:
        return "no token: public models only, and fewer questions an hour"
    answer = walk.get("/api/whoami-v2")
    if walk.here.is_mirror and answer.status in NOT_ASKED:
        raise Skipped(f"HTTP {answer.status}: this mirror does not say who we are; the next steps show what we may")
    body = content(answer)
    must_be_well(answer)
    auth = body.get("auth")
    access = auth.get("accessToken") if isinstance(auth, dict) else None
    role = access.get("role") if isinstance(access, dict) else None
    return f"token from {walk.here.token_source} is known, role {role or 'not said'}, of a {body.get('type', 'user')}"


def gate(walk: Walk) -> str:
    """Whether the model is open to us, and how many questions are left."""
    answer = walk.get(f"/api/models/{walk.probed.repo}/revision/{walk.probed.revision}")
    body = content(answer)
    must_be_well(answer)
    left = answer.headers.get("ratelimit", "")
    return f"gated: {body.get('gated', False)}, rate limit: {left or 'not said'}"


def metadata(walk: Walk) -> str:
    """What a download needs to know first: commit, hash and size of a file."""
    answer = walk.get(walk.probed.path, method="HEAD")
    if answer.status not in (200, 302, 307):
        must_be_well(answer)
    tag = answer.headers.get("x-linked-etag", answer.headers.get("etag", "")).strip('"').removeprefix('W/"')
    size = answer.headers.get("x-linked-size") or answer.headers.get("content-length", "")
    commit = answer.headers.get("x-repo-commit")
    found = f"{walk.probed.file}: commit {commit}, hash {tag or None}, {size or 'unknown'} bytes"
    hashed = len(tag) == SHA256 or (bool(tag) and walk.here.is_mirror)  # without it nobody could tell other bytes
    if commit != walk.probed.revision or not hashed:
        raise Trouble("no-metadata", answer.host, f"{found}, from {without_password(answer.url)}")
    if len(tag) == SHA256 and size != str(walk.probed.size):
        raise Trouble("wrong-bytes", answer.host, f"{found}, wanted {walk.probed.size} bytes")
    walk.file = answer
    return found


STEPS: tuple[tuple[str, Callable[[Walk], str]], ...] = (
    ("settings", settings),
    ("dns", dns),
    ("tcp", tcp),
    ("tls", tls),
    ("http", http),
    ("identity", identity),
    ("gate", gate),
    ("metadata", metadata),
    ("cas-address", cas_address),
    ("cas", cas),
    ("transfer", transfer),
    ("cdn", cdn),
)


def take(name: str, step: Callable[[Walk], str], walk: Walk) -> dict[str, object]:
    """Take one step and put what came of it into words."""
    started = time.monotonic()
    said: dict[str, object] = {"name": name, "state": "ok", "cause": "", "host": ""}
    try:
        said["found"] = _twice_if_unlucky(name, step, walk)
    except Skipped as why:
        said |= {"state": "skipped", "found": str(why)}
    except Unusable as error:
        said |= {"state": "failed", "cause": error.cause, "found": str(error)}
    except Trouble as trouble:
        said |= {"state": "failed", "cause": trouble.cause, "host": trouble.host, "found": str(trouble)}
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # an answer of a form that no Hub gives
        found = f"an answer that cannot be read: {type(error).__name__}: {error}"
        said |= {"state": "failed", "cause": "http-other", "host": asked(name, walk), "found": found}
    token = walk.settings.token if walk.settings else ""
    if said["cause"] == "bad-token" and not token:
        said["cause"] = "login-needed"
    said["found"] = secrets.scrub(str(said["found"]), token, walk.permit)
    return said | {"seconds": round(time.monotonic() - started, 3)}


def _twice_if_unlucky(name: str, step: Callable[[Walk], str], walk: Walk) -> str:
    """A connection that is reset once, or a store that is slow once, is what networks do; twice is a finding."""
    unlucky = {"cut", "late"} if name in STORAGE else {"cut"}
    try:
        return step(walk)
    except Trouble as trouble:
        if trouble.cause not in unlucky:
            raise
    return step(walk)


def asked(name: str, walk: Walk) -> str:
    """The host that a step is about to ask, for whoever may have to end it."""
    url = {"cas": walk.cas, "transfer": walk.part[0]}.get(name) or (walk.settings.endpoint if walk.settings else "")
    try:
        host, port = http_request.target(url) if name in ("dns", "tcp") else http_request.address(url)
    except (ValueError, Trouble):
        return ""
    return host if name == "dns" or not host else http_request.named(host, port)


def main() -> None:
    """Take the steps in order up to the first that fails; after a storage host has failed, the CDN is still asked."""
    walk, failed = Walk(Probed.of(sys.argv[1:])), ""
    for name, step in STEPS:
        if failed and not (name == "cdn" and failed in ("cas-address", *STORAGE)):
            continue
        print(json.dumps({"begun": name, "host": asked(name, walk)}), flush=True)  # noqa: T201 (its lines are read by probes/hub.py)
        said = take(name, step, walk)
        print(json.dumps(said), flush=True)  # noqa: T201 (the same)
        failed = failed or (name if said["state"] == "failed" else "")


if __name__ == "__main__":
    main()
