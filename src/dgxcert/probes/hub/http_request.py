"""One HTTP request in its parts: DNS, connection (through a proxy), TLS, response; each failure has a cause of its own.

It uses the standard library: the errors of requests and httpx do not distinguish a host, a proxy and a certificate.
"""

import base64
import contextlib
import email.utils
import functools
import http.client
import os
import socket
import ssl
import time
from dataclasses import dataclass, field
from itertools import zip_longest
from urllib.parse import quote, urljoin, urlsplit

from dgxcert.probes.hub import addresses, settings, trust_store
from dgxcert.probes.hub.secrets import without_password

TIMEOUT_S = 4.5
"""For each part of a request: less than the limit of a step, after which its process is killed."""
MAX_BODY_BYTES = 1 << 20
USER_AGENT = "dgxcert"
MAX_ADDRESSES = 3
MAX_REDIRECTS = 5
HTTPS_PORT = 443
UNQUOTED = "%/:=&?~#+!$,;'@()*[]"
"""Characters of a redirect's target that clients send as they are; they percent-encode all others."""
CAUSE_BY_VERIFY_CODE = {9: "tls-not-yet-valid", 10: "tls-expired", 62: "tls-wrong-host", 64: "tls-wrong-host"}
"""OpenSSL's X509_V_ERR codes; with any other the issuer is not trusted."""
CERTIFICATE_CAUSES = {*CAUSE_BY_VERIFY_CODE.values(), "tls-untrusted"}

REDIRECTS = (301, 302, 303, 307, 308)


class RequestFailed(Exception):  # noqa: N818 (read as `raise RequestFailed`, beside the other outcomes of a step)
    """A part of a request failed: `cause` is a key of causes.CAUSES, `host` who was contacted.

    `remedy` takes the place of the cause's own, where it names what was found.
    """

    def __init__(self, cause: str, host: str, message: str, remedy: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.cause = cause
        self.host = host
        self.remedy = remedy


@dataclass(frozen=True)
class Response:
    """HTTP status, headers by their lower-case names, and at most MAX_BODY_BYTES of the body."""

    url: str
    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def host(self) -> str:
        """The host that sent it, with its port where that is not 443."""
        return netloc(*host_and_port(self.url))

    @property
    def excerpt(self) -> str:
        """The first 120 bytes of the body, on one line."""
        return " ".join(self.body[:120].decode("utf-8", "replace").split())


def host_and_port(url: str) -> tuple[str, int]:
    """Host and port of a URL. Raises RequestFailed where the port is no number.

    >>> host_and_port("https://huggingface.co/gpt2")
    ('huggingface.co', 443)
    """
    parts = urlsplit(url)
    try:
        return parts.hostname or "", parts.port or (HTTPS_PORT if parts.scheme == "https" else 80)
    except ValueError as error:
        raise RequestFailed("bad-url", parts.hostname or "", f"{without_password(url)!r} has no valid port") from error


def netloc(host: str, port: int) -> str:
    """Host and port as in a URL: the port only where it is not 443.

    >>> netloc("huggingface.co", 443), netloc("proxy.example", 3128)
    ('huggingface.co', 'proxy.example:3128')
    """
    return host if port == HTTPS_PORT else f"{host}:{port}"


def connection_target(url: str) -> tuple[str, int]:
    """Host and port that a connection for this URL is opened to: the proxy's where one is configured."""
    return host_and_port(settings.proxy_for(url) or url)


@functools.cache
def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a host, looked up once. Raises RequestFailed where it does not resolve."""
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        cause = "unknown-host" if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else "dns-timeout"
        raise RequestFailed(cause, host, f"{host}: {error.strerror}") from error
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def connect(url: str) -> socket.socket:
    """A connection to the host of a URL, through the configured proxy. Raises RequestFailed."""
    host, port = connection_target(url)
    proxy = settings.proxy_for(url)
    try:
        connection = _connect_any(host, port)
    except RequestFailed as failure:
        raise (RequestFailed("proxy-unreachable", failure.host, str(failure)) if proxy else failure) from failure
    if proxy and urlsplit(url).scheme == "https":
        if urlsplit(proxy).scheme == "https":
            connection = start_tls(connection, host, port, trust_store.ssl_context(()))
        _open_tunnel(connection, url, proxy)
    return connection


def _connect_any(host: str, port: int) -> socket.socket:
    """A connection to the first address of a host that accepts one."""
    try:
        connection = addresses.connect(host, alternate_families(resolve(host, port)), port, TIMEOUT_S)
    except OSError as error:
        raise _failure(error, host, port, timeout_cause="connect-timeout") from error
    connection.settimeout(TIMEOUT_S)
    return connection


def alternate_families(found: list[str]) -> list[str]:
    """The first MAX_ADDRESSES addresses, IPv6 and IPv4 in turn: where one family has no route, the other is reached.

    >>> alternate_families(["2606:4700::1", "2606:4700::2", "104.16.0.1"])
    ['2606:4700::1', '104.16.0.1', '2606:4700::2']
    """
    preferred = [address for address in found if (":" in address) == (":" in found[0])]
    other = [address for address in found if address not in preferred]
    alternating = [address for pair in zip_longest(preferred, other) for address in pair if address]
    return alternating[:MAX_ADDRESSES]


def _open_tunnel(connection: socket.socket, url: str, proxy: str) -> None:
    """Send CONNECT to the proxy."""
    target = "{}:{}".format(*host_and_port(url))
    headers = {"Host": target, **_proxy_authorization(proxy)}
    lines = [f"CONNECT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    host, port = host_and_port(proxy)
    try:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        response = http.client.HTTPResponse(connection, method="CONNECT")
        response.begin()
    except (http.client.HTTPException, OSError) as error:
        failure = _failure(error, host, port)
        raise RequestFailed("proxy-unreachable", failure.host, str(failure)) from error
    if response.status != 200:
        cause = {407: "proxy-login", 429: "rate-limited"}.get(response.status, "proxy-refuses")
        message = f"proxy {host} answers {response.status} {response.reason} for {target}"
        raise RequestFailed(cause, netloc(host, port), message)


def _proxy_authorization(proxy: str) -> dict[str, str]:
    user = settings.credentials(proxy)
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}


def start_tls(connection: socket.socket, host: str, port: int, trust: ssl.SSLContext) -> ssl.SSLSocket:
    """TLS on an open connection. Raises RequestFailed, with a cause of its own for each fault of a certificate."""
    try:
        return trust.wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        cause = CAUSE_BY_VERIFY_CODE.get(error.verify_code, "tls-untrusted")
        raise RequestFailed(cause, netloc(host, port), f"{host}: {error.verify_message}") from error
    except OSError as error:  # ssl.SSLError is one
        # An EOF in the handshake is a connection that something on the way closed, not a server without TLS.
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            message = f"{host} does not speak TLS: {error.reason}"
            raise RequestFailed("not-tls", netloc(host, port), message) from error
        raise _failure(error, host, port) from error


def connect_tls(url: str, trust: ssl.SSLContext) -> ssl.SSLSocket:
    """A verified TLS connection. Raises RequestFailed, naming the issuer of a certificate that is not accepted."""
    try:
        return start_tls(connect(url), *host_and_port(url), trust)
    except RequestFailed as failure:
        if failure.cause not in CERTIFICATE_CAUSES:
            raise
        raise RequestFailed(failure.cause, failure.host, f"{failure}; signed by {peer_issuer(url)}") from failure


def peer_issuer(url: str) -> str:
    """The issuer of a host's certificate, trusted or not. Raises RequestFailed where there is no connection."""
    unverified = ssl.create_default_context()
    # Only to name the issuer that is not trusted; nothing is sent on this connection.
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with connect(url) as connection, start_tls(connection, *host_and_port(url), unverified) as secured:
        return issuer(secured.getpeercert(binary_form=True) or b"")


def issuer(certificate: bytes) -> str:
    """Organisation and common name of a certificate's issuer; `certificate` is DER."""
    # In memory: the folder for temporary files may be full, which is not what this is about.
    with os.fdopen(os.memfd_create("certificate"), "w") as file:
        file.write(ssl.DER_cert_to_PEM_cert(certificate))
        file.flush()
        # getpeercert() is empty for an unverified certificate; this private function, as old as ssl, parses any.
        decoded = ssl._ssl._test_decode_cert(f"/proc/self/fd/{file.fileno()}")  # type: ignore[attr-defined]
    names = {key: value for part in decoded.get("issuer", ()) for key, value in part}
    return ", ".join(names[key] for key in ("organizationName", "commonName") if key in names) or "an unnamed issuer"


def send(url: str, trust: ssl.SSLContext, *, method: str = "GET", headers: dict[str, str] | None = None) -> Response:
    """Send one request and read the response; redirects are not followed. Raises RequestFailed."""
    parts = urlsplit(url)
    host, port = host_and_port(url)
    if parts.scheme not in ("http", "https") or not host:
        raise RequestFailed("bad-url", host, f"{without_password(url)!r} is no http or https URL")
    proxy = settings.proxy_for(url)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    with contextlib.closing(connection):
        connection.sock = connect_tls(url, trust) if parts.scheme == "https" else connect(url)
        name = parts.netloc.rpartition("@")[2]  # as written in the URL: signatures of storage hosts cover it
        sent = {"Host": name, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})}
        path = quote(f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", safe=UNQUOTED)
        if proxy and parts.scheme == "http":  # without a tunnel the proxy needs the whole URL
            path, sent = url, {**sent, **_proxy_authorization(proxy)}
        try:
            connection.request(method, path, headers=sent)
            response = connection.getresponse()
            body = b"" if method == "HEAD" else _read_body(response, netloc(host, port))
        except (http.client.HTTPException, OSError) as error:
            raise _failure(error, host, port) from error
        except ValueError as error:  # http.client refuses to send a URL or a header with such characters
            message = f"{without_password(url)}: {type(error).__name__}"
            raise RequestFailed("unexpected-response", netloc(host, port), message) from error
        received = {name.lower(): value for name, value in response.getheaders()}
        return Response(url, response.status, received, body)


def follow_redirects(
    response: Response,
    trust: ssl.SSLContext,
    headers: dict[str, str],
    *,
    method: str,
    other_hosts: bool,
    asked: str = "",
) -> Response:
    """The response at the end of a chain of redirects; without `other_hosts` only relative ones are followed.

    One to another host is followed as well where it asks that host for the same path, `asked`: a mirror sends its
    readers on, a captive portal sends them to a page of its own.

    The token is sent to its own host only, as clients do.
    """
    for _ in range(MAX_REDIRECTS):
        location = response.headers.get("location", "")
        allowed = other_hosts or location.startswith("/") or (asked and sent_on_to(response, asked))
        if response.status not in REDIRECTS or not location or not allowed:
            return response
        url = urljoin(response.url, location)
        if host_and_port(url) != host_and_port(response.url):
            headers = {name: value for name, value in headers.items() if name != "Authorization"}
        response = send(url, trust, method=method, headers=headers)
    return response


def sent_on_to(response: Response, asked: str) -> str:
    """The base URL to which a redirect sends the request for the path `asked`; empty where it leads elsewhere.

    >>> sent_on_to(Response("http://mirror/hf/x/y", 308, {"location": "https://hub/x/y"}, b""), "/x/y")
    'https://hub'
    """
    here, there = urlsplit(response.url), urlsplit(response.headers.get("location", ""))
    same_host = (there.scheme, there.netloc) == (here.scheme, here.netloc)
    if response.status not in REDIRECTS or not there.hostname or same_host or not there.path.endswith(asked):
        return ""
    return f"{there.scheme}://{there.netloc.rpartition('@')[2]}{there.path[: -len(asked)]}"


def clock_ahead_s(url: str) -> float | None:
    """By how many seconds this machine's clock is ahead of the server's; None where the server tells no time.

    The certificate is not verified, because its dates are what is in doubt, and nothing secret is sent.
    """
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        response = send(url, unverified, method="HEAD")
    except RequestFailed:
        return None
    return clock_ahead_of(response)


def clock_ahead_of(response: Response) -> float | None:
    """As `clock_ahead_s`, by a response's header Date."""
    try:
        then = email.utils.parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None
    return time.time() - then.timestamp()


def _read_body(response: http.client.HTTPResponse, host: str) -> bytes:
    """The body, at most MAX_BODY_BYTES. Raises RequestFailed where it arrives too slowly or ends early."""
    started, body = time.monotonic(), b""
    while len(body) < MAX_BODY_BYTES:
        # The socket's timeout starts again with each byte: a body that trickles would never reach it.
        part = response.read1(1 << 16)
        if not part:
            break
        body += part
        if time.monotonic() - started > TIMEOUT_S:
            raise RequestFailed("slow", host, f"{host} sent {len(body)} bytes in {TIMEOUT_S} s and was not done")
    missing = response.length or 0
    if missing and len(body) < MAX_BODY_BYTES:
        message = f"{host} closed the connection {missing} bytes before the end"
        raise RequestFailed("connection-closed", host, message)
    return body


def _failure(error: Exception, host: str, port: int, timeout_cause: str = "timeout") -> RequestFailed:
    """The failure behind an exception of the standard library; `timeout_cause` is the cause of a time limit."""
    contacted, host = f"{host} port {port}", netloc(host, port)
    if isinstance(error, TimeoutError):
        return RequestFailed(timeout_cause, host, f"{contacted} did not answer within {TIMEOUT_S} s")
    if isinstance(error, ConnectionRefusedError):
        return RequestFailed("refused", host, f"{contacted} refuses the connection")
    if isinstance(error, ConnectionError | http.client.IncompleteRead | ssl.SSLEOFError | http.client.BadStatusLine):
        message = f"{contacted} closed the connection ({type(error).__name__})"
        return RequestFailed("connection-closed", host, message)
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number) if number else type(error).__name__
    return RequestFailed("unreachable", host, f"{contacted}: {reason}")
