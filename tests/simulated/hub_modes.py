"""The ways in which a Hub, or what stands before it, can fail: a name, a sentence, and what each server does."""

import json
from dataclasses import dataclass

from simulated.loopback_server import Answer, Fault, Refusal

from dgxcert.profiles.checkpoints import PROBED

COMPANY_CERTIFICATE = "company"
HTML = {"Content-Type": "text/html; charset=utf-8"}
PORTAL = b"<!DOCTYPE html><html><head><title>Guest Wi-Fi</title></head><body>Please log in.</body></html>"


NONE = Fault()


@dataclass(frozen=True)
class Mode:
    """One way to fail: what it is, and the fault of each server."""

    says: str
    hub: Fault = NONE
    cdn: Fault = NONE
    cas: Fault = NONE
    transfer: Fault = NONE


def _error(status: int, message: str, code: str = "", **headers: str) -> Answer:
    shown = {"Content-Type": "application/json; charset=utf-8", "X-Error-Message": message}
    shown |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps({"error": message}).encode(), shown | ({"X-Error-Code": code} if code else {}))


def _refuses(answer: Answer, path: str = "") -> Fault:
    return Fault(refusals=(Refusal(answer, path),))


def _everywhere(says: str, fault: Fault) -> Mode:
    return Mode(says, fault, fault, fault, fault)


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
NOT_GOOD = _error(401, "Invalid credentials in Authorization header")
MISSING = _error(401, "Repository not found", "RepoNotFound")
RESTRICTED = f"Access to model {PROBED.repo} is restricted"
GATED = _error(
    403, f"{RESTRICTED} and you are not in the authorized list. Visit the page to ask for access.", "GatedRepo"
)
GATED_ANONYMOUS = _error(
    401, f"{RESTRICTED}. You must have access to it and be authenticated to access it. Please log in.", "GatedRepo"
)
BROKEN = Answer(500, b"<html><body><h1>500 Internal Server Error</h1></body></html>", HTML)
AWAY = Answer(503, b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>", HTML)
DENIED = Answer(403, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", {"Content-Type": "text/xml"})
BLOCKED = Answer(403, b"<html><title>Blocked</title><body>Category: AI storage. Ask your IT desk.</body></html>", HTML)

MODES: dict[str, Mode] = {
    "healthy": Mode("Everything answers."),
    # What stands before the Hub.
    "captive-page": _everywhere("A log-in page answers 200 for everything.", _refuses(Answer(200, PORTAL, HTML))),
    "captive-redirect": _everywhere(
        "Everything is sent on to a log-in page elsewhere.",
        _refuses(Answer(302, b"", {**HTML, "Location": "http://127.0.0.1:9/login"})),
    ),
    "blocked-page": Mode("A filter answers 403 with its own page for the Hub.", hub=_refuses(BLOCKED)),
    # TLS.
    "expired": _everywhere("The certificate expired two days ago.", Fault(certificate="expired")),
    "another-host": _everywhere("The certificate is another host's.", Fault(certificate="another-host")),
    "intercepted": _everywhere("A company's proxy signs for the Hub.", Fault(certificate=COMPANY_CERTIFICATE)),
    "cas-intercepted": Mode(
        "A company's proxy signs for Xet storage only.",
        cas=Fault(certificate=COMPANY_CERTIFICATE),
        transfer=Fault(certificate=COMPANY_CERTIFICATE),
    ),
    # The Hub's port.
    "hub-refused": Mode("Nothing listens at the Hub's port.", hub=Fault(listen="refused")),
    "hub-dropped": Mode("Packets to the Hub are dropped.", hub=Fault(listen="dropped")),
    "hub-silent": Mode("The Hub's port takes the connection and never shakes hands.", hub=Fault(listen="silent")),
    "hub-mute": Mode("The Hub agrees on TLS and never answers.", hub=Fault(listen="mute")),
    "hub-slow-headers": Mode("The Hub sends a byte of its headers a second.", hub=Fault(header_bytes_per_s=1)),
    "hub-slow-body": Mode("The Hub sends a byte of its answer a second.", hub=Fault(body_bytes_per_s=1)),
    # Who asks, and for what.
    "missing": Mode(
        "The repository is private or does not exist.", hub=_refuses(MISSING, r"/api/models/|/resolve/|resolve-cache")
    ),
    "gated": Mode("The repository is gated and this token may not read it.", hub=_refuses(GATED, CONTENT)),
    "gated-anonymous": Mode("The repository is gated and nobody is logged in.", hub=_refuses(GATED_ANONYMOUS, CONTENT)),
    "limited": Mode("The Hub limits the rate of everything.", hub=_refuses(LIMITED)),
    "limited-resolve": Mode("The Hub limits the rate of files only.", hub=_refuses(LIMITED_RESOLVE, RESOLVE)),
    "broken": Mode("The Hub answers 500.", hub=_refuses(BROKEN)),
    "away": Mode("The Hub answers 503.", hub=_refuses(AWAY)),
    # Xet storage.
    "read-token-broken": Mode("The Hub answers 500 for Xet's read token.", hub=_refuses(BROKEN, "/xet-read-token/")),
    "read-token-denied": Mode("The Hub answers 401 for Xet's read token.", hub=_refuses(NOT_GOOD, "/xet-read-token/")),
    "cas-refused": Mode("Nothing listens at the CAS.", cas=Fault(listen="refused")),
    "cas-dropped": Mode("Packets to the CAS are dropped.", cas=Fault(listen="dropped")),
    "cas-silent": Mode("The CAS takes the connection and never shakes hands.", cas=Fault(listen="silent")),
    "cas-mute": Mode("The CAS agrees on TLS and never answers.", cas=Fault(listen="mute")),
    "cas-blocked": Mode("A filter answers 403 for the CAS.", cas=_refuses(BLOCKED)),
    "cas-broken": Mode("The CAS answers 500.", cas=_refuses(BROKEN)),
    "transfer-refused": Mode("Nothing listens at the transfer host.", transfer=Fault(listen="refused")),
    "transfer-dropped": Mode("Packets to the transfer host are dropped.", transfer=Fault(listen="dropped")),
    "transfer-silent": Mode("The transfer host never shakes hands.", transfer=Fault(listen="silent")),
    "transfer-blocked": Mode("A filter answers 403 for the transfer host.", transfer=_refuses(BLOCKED)),
    "transfer-slow": Mode("The transfer host sends a byte a second.", transfer=Fault(body_bytes_per_s=1)),
    "transfer-spoilt": Mode("The transfer host sends a wrong byte.", transfer=Fault(spoilt=True)),
    "transfer-cut": Mode(
        "The transfer host cuts the first connection after 100 kB.", transfer=Fault(cut_after=100_000, cuts=1)
    ),
    "transfer-always-cut": Mode(
        "The transfer host cuts every connection after 100 kB.", transfer=Fault(cut_after=100_000)
    ),
    # The CDN.
    "cdn-refused": Mode("Nothing listens at the CDN.", cdn=Fault(listen="refused")),
    "cdn-dropped": Mode("Packets to the CDN are dropped.", cdn=Fault(listen="dropped")),
    "cdn-silent": Mode("The CDN takes the connection and never shakes hands.", cdn=Fault(listen="silent")),
    "cdn-denied": Mode("The CDN answers 403.", cdn=_refuses(DENIED)),
    "cdn-slow": Mode("The CDN sends a byte a second.", cdn=Fault(body_bytes_per_s=1)),
    "cdn-spoilt": Mode("The CDN sends a wrong byte.", cdn=Fault(spoilt=True)),
    "cdn-cut": Mode("The CDN cuts the first connection after 100 kB.", cdn=Fault(cut_after=100_000, cuts=1)),
    "cdn-always-cut": Mode("The CDN cuts every connection after 100 kB.", cdn=Fault(cut_after=100_000)),
    # Both ways to the weights.
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
"""By name. A private authority without SSL_CERT_FILE, a proxy, DNS and a firewall are not the server's doing."""
