"""One question over the network, in its parts: name, connection (through a proxy), TLS, HTTP; each failure has a cause.

The standard library rather than the client: only so can a name, a proxy, a certificate and an answer be told apart.
"""

import base64
import contextlib
import functools
import http.client
import os
import socket
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from itertools import zip_longest
from urllib.parse import quote, urljoin, urlsplit

from dgxcert.probes.hub import settings, trust_store
from dgxcert.probes.hub.secrets import without_password

LIMIT_S = 4.5
"""For each part of a question; whoever asks is ended from outside soon after."""
MAX_BODY = 1 << 20
USER_AGENT = "dgxcert"
MOST_ADDRESSES = 3
MOST_REDIRECTS = 5
HTTPS = 443
SENDABLE = "%/:=&?~#+!$,;'@()*[]"
"""What stays as it is in an address that somebody leads to; clients write all else with %."""
UNPROVEN_BY_CODE = {9: "tls-early", 10: "tls-expired", 62: "tls-name", 64: "tls-name"}
"""OpenSSL's X509_V_ERR codes: the cause; any other means that the issuer is not trusted."""
UNPROVEN = {*UNPROVEN_BY_CODE.values(), "tls-issuer"}


REDIRECTS = (301, 302, 303, 307, 308)


class Trouble(Exception):  # noqa: N818 (read as `raise Trouble`, beside the other outcomes of a step)
    """A part of a question failed: `cause` is its name in hub_causes, `found` what was seen."""

    def __init__(self, cause: str, host: str, found: str) -> None:
        super().__init__(found)
        self.cause = cause
        self.host = host


@dataclass(frozen=True)
class Answer:
    """What came back: HTTP status, headers by their names in small letters, and the first part of the body."""

    url: str
    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def host(self) -> str:
        """Who was asked."""
        return named(*address(self.url))

    @property
    def start(self) -> str:
        """The beginning of the body, on one line."""
        return " ".join(self.body[:120].decode("utf-8", "replace").split())


def target(url: str) -> tuple[str, int]:
    """Host and port that a connection for this address goes to: the proxy's where one is in force."""
    return address(settings.proxy_for(url) or url)


def named(host: str, port: int) -> str:
    """A host as one writes it in an address: with its port, where that is not the usual one."""
    return host if port == HTTPS else f"{host}:{port}"


def address(url: str) -> tuple[str, int]:
    """Host and port in an address."""
    parts = urlsplit(url)
    try:
        return parts.hostname or "", parts.port or (HTTPS if parts.scheme == "https" else 80)
    except ValueError as error:
        raise Trouble("no-address", parts.hostname or "", f"{without_password(url)!r} names no port") from error


@functools.cache
def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, asked once; raises Trouble where its name is not known here."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        cause = "no-name" if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else "dns-silent"
        raise Trouble(cause, host, f"{host}: {error.strerror}") from error
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def connect(url: str) -> socket.socket:
    """A connection to where an address leads, through the proxy in force; raises Trouble."""
    host, port = target(url)
    proxy = settings.proxy_for(url)
    try:
        made = _connected(host, port)
    except Trouble as trouble:
        raise (Trouble("proxy-away", trouble.host, str(trouble)) if proxy else trouble) from trouble
    if proxy and urlsplit(url).scheme == "https":
        if urlsplit(proxy).scheme == "https":
            made = secure(made, host, port, trust_store.context(()))
        _through(made, url, proxy)
    return made


def _connected(host: str, port: int) -> socket.socket:
    """A connection to the first address of a host that takes one: each has its share of the time."""
    found = of_each_family(resolve(host, port))
    refused: OSError | None = None
    for each in found:
        try:
            made = socket.create_connection((each, port), timeout=LIMIT_S / len(found))
        except OSError as error:
            refused = error
        else:
            made.settimeout(LIMIT_S)
            return made
    raise _network(refused or OSError("no address"), host, port, what="dropped")


def of_each_family(addresses: list[str]) -> list[str]:
    """The first few addresses, IPv6 and IPv4 by turns: where one family leads nowhere, the other is tried in time."""
    first = [each for each in addresses if (":" in each) == (":" in addresses[0])]
    other = [each for each in addresses if each not in first]
    turns = [each for pair in zip_longest(first, other) for each in pair if each]
    return turns[:MOST_ADDRESSES]


def _through(made: socket.socket, url: str, proxy: str) -> None:
    """Ask a proxy to pass a connection on."""
    wanted = "{}:{}".format(*address(url))
    lines = [f"CONNECT {wanted} HTTP/1.1", f"Host: {wanted}", *(f"{k}: {v}" for k, v in _authorisation(proxy).items())]
    host, port = address(proxy)
    try:
        made.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = http.client.HTTPResponse(made, method="CONNECT")
        answer.begin()
    except (http.client.HTTPException, OSError) as error:
        trouble = _network(error, host, port)
        raise Trouble("proxy-away", trouble.host, str(trouble)) from error
    if answer.status != 200:
        cause = {407: "proxy-login", 429: "rate"}.get(answer.status, "proxy-refuses")
        raise Trouble(cause, named(host, port), f"proxy {host} answers {answer.status} {answer.reason} for {wanted}")


def _authorisation(proxy: str) -> dict[str, str]:
    user = settings.credentials(proxy)
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"} if user else {}


def secure(made: socket.socket, host: str, port: int, trust: ssl.SSLContext) -> ssl.SSLSocket:
    """TLS on a connection; raises Trouble, with the issuer's name where the certificate is not believed."""
    try:
        return trust.wrap_socket(made, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        cause = UNPROVEN_BY_CODE.get(error.verify_code, "tls-issuer")
        raise Trouble(cause, named(host, port), f"{host}: {error.verify_message}") from error
    except OSError as error:  # ssl.SSLError is one
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            raise Trouble("tls-broken", named(host, port), f"{host} does not speak TLS here: {error.reason}") from error
        raise _network(error, host, port) from error


def proven(url: str, trust: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection whose other end has proved who it is; raises Trouble, with who signed what was not believed."""
    try:
        return secure(connect(url), *address(url), trust)
    except Trouble as trouble:
        if trouble.cause not in UNPROVEN:
            raise
        raise Trouble(trouble.cause, trouble.host, f"{trouble}; signed by {issuer(url)}") from trouble


def issuer(url: str) -> str:
    """Who has signed a host's certificate, believed or not; raises Trouble where there is no connection."""
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE  # only to name who is not believed
    with connect(url) as made, secure(made, *address(url), blind) as secured:
        return issuer_of(secured.getpeercert(binary_form=True) or b"")


def issuer_of(certificate: bytes) -> str:
    """The issuer's organisation and name in a certificate (DER)."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(ssl.DER_cert_to_PEM_cert(certificate))
        file.flush()
        # The only reader of a certificate that nobody vouches for in the standard library; as old as ssl itself.
        read = ssl._ssl._test_decode_cert(file.name)  # type: ignore[attr-defined]
    names = {key: value for part in read.get("issuer", ()) for key, value in part}
    return ", ".join(names[key] for key in ("organizationName", "commonName") if key in names) or "nobody by name"


def ask(url: str, trust: ssl.SSLContext, *, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    """Ask one question and read the first part of its answer; redirects are answers. Raises Trouble."""
    parts = urlsplit(url)
    host, port = address(url)
    if parts.scheme not in ("http", "https") or not host:
        raise Trouble("no-address", host, f"{without_password(url)!r} is no web address")
    proxy = settings.proxy_for(url)
    connection = http.client.HTTPConnection(host, port, timeout=LIMIT_S)
    with contextlib.closing(connection):
        connection.sock = proven(url, trust) if parts.scheme == "https" else connect(url)
        name = parts.netloc.rpartition("@")[2]  # as it is written: signatures of storage hosts cover it
        extra = {"Host": name, "User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})}
        path = quote(f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", safe=SENDABLE)
        if proxy and parts.scheme == "http":  # a proxy is told the whole address there
            path, extra = url, {**extra, **_authorisation(proxy)}
        try:
            connection.request(method, path, headers=extra)
            response = connection.getresponse()
            body = b"" if method == "HEAD" else _first_part(response, named(host, port))
        except (http.client.HTTPException, OSError) as error:
            raise _network(error, host, port) from error
        except ValueError as error:  # an address or a header that cannot be sent
            raise Trouble(
                "http-other", named(host, port), f"{without_password(url)}: {type(error).__name__}"
            ) from error
        return Answer(url, response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def follow(answer: Answer, trust: ssl.SSLContext, headers: dict[str, str], *, method: str, anywhere: bool) -> Answer:
    """Where an answer leads, as clients go: `anywhere`, or only within the host. A token stays with its host."""
    for _ in range(MOST_REDIRECTS):
        to = answer.headers.get("location", "")
        if answer.status not in REDIRECTS or not to or not (anywhere or to.startswith("/")):
            return answer
        url = urljoin(answer.url, to)
        if address(url) != address(answer.url):
            headers = {name: value for name, value in headers.items() if name != "Authorization"}
        answer = ask(url, trust, method=method, headers=headers)
    return answer


def _first_part(response: http.client.HTTPResponse, host: str) -> bytes:
    """The body, up to a mebibyte; a body that trickles is not waited for."""
    started, body = time.monotonic(), b""
    while len(body) < MAX_BODY:
        part = response.read1(1 << 16)
        if not part:
            break
        body += part
        if time.monotonic() - started > LIMIT_S:
            raise Trouble("slow", host, f"{host} sent {len(body)} bytes in {LIMIT_S} s, and had not finished")
    missing = response.length or 0
    if missing and len(body) < MAX_BODY:
        raise Trouble("cut", host, f"{host} closed the connection {missing} bytes before the end")
    return body


def _network(error: Exception, host: str, port: int, what: str = "late") -> Trouble:
    """The cause behind what the standard library raised; `what` is that of a time limit."""
    where, host = f"{host} port {port}", named(host, port)
    if isinstance(error, TimeoutError):
        return Trouble(what, host, f"{where} did not answer within {LIMIT_S} s")
    if isinstance(error, ConnectionRefusedError):
        return Trouble("refused", host, f"{where} refuses the connection")
    if isinstance(error, ConnectionError | http.client.IncompleteRead | ssl.SSLEOFError | http.client.BadStatusLine):
        return Trouble("cut", host, f"{where} closed the connection ({type(error).__name__})")
    number = error.errno if isinstance(error, OSError) else None
    return Trouble("unreachable", host, f"{where}: {os.strerror(number) if number else type(error).__name__}")
