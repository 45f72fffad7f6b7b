"""The simulated faults of the Hub, or of a device in front of it: name, description, and the fault of each server."""

import json
from dataclasses import dataclass

from simulated.loopback_server import Fault, Refusal, Response

from dgxcert.profiles.checkpoints import PROBED

COMPANY_CERTIFICATE = "company"
HTML = {"Content-Type": "text/html; charset=utf-8"}
PORTAL = b"<!DOCTYPE html><html><head><title>Guest Wi-Fi</title></head><body>Please log in.</body></html>"


NONE = Fault()


@dataclass(frozen=True)
class Mode:
    """One fault: its description, and what each server does."""

    description: str
    hub: Fault = NONE
    cdn: Fault = NONE
    cas: Fault = NONE
    transfer: Fault = NONE


def _error(status: int, message: str, code: str = "", **headers: str) -> Response:
    sent = {"Content-Type": "application/json; charset=utf-8", "X-Error-Message": message}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, json.dumps({"error": message}).encode(), sent | ({"X-Error-Code": code} if code else {}))


def _refuses(response: Response, path: str = "") -> Fault:
    return Fault(refusals=(Refusal(response, path),))


def _everywhere(description: str, fault: Fault) -> Mode:
    return Mode(description, fault, fault, fault, fault)


RESOLVE = r"/resolve/|/api/resolve-cache/"
CONTENT = RESOLVE + r"|/xet-read-token/"
LIMITED = _error(
    429,
    "We had to rate limit you, you hit the quota of 500 api requests per 5 minutes period.",
    Retry_After="120",
    RateLimit='"api";r=0;t=120',
    RateLimit_Policy='"fixed window";"api";q=500;w=300',
)
LIMITED_RESOLVE = _error(
    429,
    "We had to rate limit you, you hit the quota of 3000 resolvers requests per 5 minutes period.",
    Retry_After="120",
    RateLimit='"resolvers";r=0;t=120',
    RateLimit_Policy='"fixed window";"resolvers";q=3000;w=300',
)
INVALID_TOKEN = _error(401, "Invalid credentials in Authorization header")
NOT_FOUND = _error(401, "Repository not found", "RepoNotFound")
RESTRICTED = f"Access to model {PROBED.repo} is restricted"
GATED = _error(
    403, f"{RESTRICTED} and you are not in the authorized list. Visit the page to ask for access.", "GatedRepo"
)
GATED_ANONYMOUS = _error(
    401, f"{RESTRICTED}. You must have access to it and be authenticated to access it. Please log in.", "GatedRepo"
)
SCOPE = _error(
    403,
    "Please enable access to public gated repositories in your fine-grained token settings to view this repository.",
    "GatedRepo",
)
PENDING = _error(403, "Your request to access this model is awaiting a review from the repo authors.", "GatedRepo")
EXPIRED_TOKEN = _error(401, 'User Access Token "lab" is expired')
FINE_GRAINED = {
    "type": "user",
    "name": "loopback-student",
    "auth": {
        "type": "access_token",
        "accessToken": {
            "displayName": "lab",
            "role": "fineGrained",
            "fineGrained": {"canReadGatedRepos": False, "global": [], "scoped": []},
        },
    },
}
"""As huggingface/huggingface.js has it, in packages/hub/src/lib/who-am-i.ts."""
WHOAMI = Response(200, json.dumps(FINE_GRAINED).encode(), {"Content-Type": "application/json"})
DAY_S = 86400.0
SERVER_ERROR = Response(500, b"<html><body><h1>500 Internal Server Error</h1></body></html>", HTML)
UNAVAILABLE = Response(503, b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>", HTML)
DENIED = Response(403, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", {"Content-Type": "text/xml"})
BLOCKED = Response(
    403, b"<html><title>Blocked</title><body>Category: AI storage. Ask your IT desk.</body></html>", HTML
)

MODES: dict[str, Mode] = {
    "healthy": Mode("Every server answers."),
    # A device in front of the Hub.
    "captive-page": _everywhere(
        "A captive portal answers every request with 200 and its log-in page.", _refuses(Response(200, PORTAL, HTML))
    ),
    "captive-redirect": _everywhere(
        "A captive portal redirects every request to its log-in page.",
        _refuses(Response(302, b"", {**HTML, "Location": "http://127.0.0.1:9/login"})),
    ),
    "blocked-page": Mode("A filter answers 403 with its own page for the Hub.", hub=_refuses(BLOCKED)),
    # TLS.
    "expired": _everywhere("The certificate expired two days ago.", Fault(certificate="expired")),
    "another-host": _everywhere("The certificate is another host's.", Fault(certificate="another-host")),
    "intercepted": _everywhere(
        "A TLS-inspecting proxy presents its own certificate for the Hub.", Fault(certificate=COMPANY_CERTIFICATE)
    ),
    "cas-intercepted": Mode(
        "A TLS-inspecting proxy presents its own certificate for Xet storage only.",
        cas=Fault(certificate=COMPANY_CERTIFICATE),
        transfer=Fault(certificate=COMPANY_CERTIFICATE),
    ),
    "future": _everywhere("The certificate is not valid yet.", Fault(certificate="future")),
    "clock-ahead": _everywhere(
        "The machine's clock is three days ahead.", Fault(certificate="expired", clock_s=-3 * DAY_S)
    ),
    "clock-behind": _everywhere(
        "The machine's clock is three days behind.", Fault(certificate="future", clock_s=3 * DAY_S)
    ),
    # A mirror.
    "mirror-sends-on": Mode("A mirror sends every request on to another address.", hub=Fault(moved=308)),
    "mirror-sends-on-for-good": Mode("A mirror sends every request on, with 301.", hub=Fault(moved=301)),
    "mirror-sends-files-on": Mode(
        "A mirror sends requests for files on.", hub=Fault(moved=307, moved_paths="/resolve/")
    ),
    "mirror-sends-api-on": Mode(
        "A mirror sends requests to its API on.", hub=Fault(moved=302, moved_paths="^/api/models")
    ),
    # The connection to the Hub.
    "hub-refused": Mode("Nothing listens at the Hub's port.", hub=Fault(listen="refused")),
    "hub-dropped": Mode("Packets to the Hub are dropped.", hub=Fault(listen="dropped")),
    "hub-silent": Mode("The Hub accepts the connection and never sends a TLS handshake.", hub=Fault(listen="silent")),
    "hub-mute": Mode("The Hub establishes TLS and never answers.", hub=Fault(listen="mute")),
    "hub-slow-headers": Mode("The Hub sends a byte of its headers a second.", hub=Fault(header_bytes_per_s=1)),
    "hub-slow-body": Mode("The Hub sends a byte of its response a second.", hub=Fault(body_bytes_per_s=1)),
    # Tokens and permissions.
    "missing": Mode(
        "The repository is private or does not exist.", hub=_refuses(NOT_FOUND, r"/api/models/|/resolve/|resolve-cache")
    ),
    "gated": Mode("The repository is gated and this token may not read it.", hub=_refuses(GATED, CONTENT)),
    "gated-anonymous": Mode("The repository is gated and there is no token.", hub=_refuses(GATED_ANONYMOUS, CONTENT)),
    "token-scope": Mode("The fine-grained token may not read gated repositories.", hub=_refuses(SCOPE, CONTENT)),
    "token-without-gated": Mode(
        "The Hub says that the terms are not accepted, and that the token may not read gated repositories.",
        hub=Fault(refusals=(Refusal(GATED, CONTENT), Refusal(WHOAMI, "/api/whoami-v2"))),
    ),
    "gated-pending": Mode("The request for access waits for its decision.", hub=_refuses(PENDING, CONTENT)),
    "token-expired": Mode("The token has expired.", hub=_refuses(EXPIRED_TOKEN, "/api/")),
    "limited": Mode("The Hub rate-limits every request.", hub=_refuses(LIMITED)),
    "limited-resolve": Mode("The Hub rate-limits requests for files only.", hub=_refuses(LIMITED_RESOLVE, RESOLVE)),
    "broken": Mode("The Hub answers 500.", hub=_refuses(SERVER_ERROR)),
    "away": Mode("The Hub answers 503.", hub=_refuses(UNAVAILABLE)),
    # Xet storage.
    "read-token-broken": Mode(
        "The Hub answers 500 for Xet's read token.", hub=_refuses(SERVER_ERROR, "/xet-read-token/")
    ),
    "read-token-denied": Mode(
        "The Hub answers 401 for Xet's read token.", hub=_refuses(INVALID_TOKEN, "/xet-read-token/")
    ),
    "cas-refused": Mode("Nothing listens at the CAS.", cas=Fault(listen="refused")),
    "cas-dropped": Mode("Packets to the CAS are dropped.", cas=Fault(listen="dropped")),
    "cas-silent": Mode("The CAS accepts the connection and never sends a TLS handshake.", cas=Fault(listen="silent")),
    "cas-mute": Mode("The CAS establishes TLS and never answers.", cas=Fault(listen="mute")),
    "cas-blocked": Mode("A filter answers 403 for the CAS.", cas=_refuses(BLOCKED)),
    "cas-broken": Mode("The CAS answers 500.", cas=_refuses(SERVER_ERROR)),
    "transfer-refused": Mode("Nothing listens at the transfer host.", transfer=Fault(listen="refused")),
    "transfer-dropped": Mode("Packets to the transfer host are dropped.", transfer=Fault(listen="dropped")),
    "transfer-silent": Mode("The transfer host never sends a TLS handshake.", transfer=Fault(listen="silent")),
    "transfer-blocked": Mode("A filter answers 403 for the transfer host.", transfer=_refuses(BLOCKED)),
    "transfer-slow": Mode("The transfer host sends a byte a second.", transfer=Fault(body_bytes_per_s=1)),
    "transfer-corrupt": Mode("The transfer host sends a wrong byte.", transfer=Fault(corrupt=True)),
    "transfer-cut": Mode(
        "The transfer host cuts the first connection after 100 kB.", transfer=Fault(cut_after=100_000, cuts=1)
    ),
    "transfer-always-cut": Mode(
        "The transfer host cuts every connection after 100 kB.", transfer=Fault(cut_after=100_000)
    ),
    # The CDN.
    "cdn-refused": Mode("Nothing listens at the CDN.", cdn=Fault(listen="refused")),
    "cdn-dropped": Mode("Packets to the CDN are dropped.", cdn=Fault(listen="dropped")),
    "cdn-silent": Mode("The CDN accepts the connection and never sends a TLS handshake.", cdn=Fault(listen="silent")),
    "cdn-denied": Mode("The CDN answers 403.", cdn=_refuses(DENIED)),
    "cdn-slow": Mode("The CDN sends a byte a second.", cdn=Fault(body_bytes_per_s=1)),
    "cdn-corrupt": Mode("The CDN sends a wrong byte.", cdn=Fault(corrupt=True)),
    "cdn-cut": Mode("The CDN cuts the first connection after 100 kB.", cdn=Fault(cut_after=100_000, cuts=1)),
    "cdn-always-cut": Mode("The CDN cuts every connection after 100 kB.", cdn=Fault(cut_after=100_000)),
    # Xet storage and the CDN.
    "storage-without-xet": Mode(
        "Nothing listens where Xet storage is; the CDN answers.",
        cas=Fault(listen="refused"),
        transfer=Fault(listen="refused"),
    ),
    "storage-refused": Mode(
        "The Hub's page answers and neither Xet storage nor the CDN does.",
        cdn=Fault(listen="refused"),
        cas=Fault(listen="refused"),
        transfer=Fault(listen="refused"),
    ),
    "storage-dropped": Mode(
        "The Hub's page answers, and packets to Xet storage and the CDN are dropped.",
        cdn=Fault(listen="dropped"),
        cas=Fault(listen="dropped"),
        transfer=Fault(listen="dropped"),
    ),
}
"""By name. A proxy, DNS, a firewall and an untrusted authority are set up by hub_matrix.py instead."""
