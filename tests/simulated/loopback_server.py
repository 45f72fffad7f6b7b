"""One real HTTP or HTTPS server on loopback that logs its requests and fails in a given way."""

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

HANDSHAKE_S = 10.0
BACKLOG_CONNECTIONS = 4
"""More than fit in the queue of a listener with backlog 0."""
SETTLE_S = 0.05
RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@dataclass(frozen=True)
class Request:
    """One request as received by `server`, and the status of its response (0: there was none)."""

    server: str
    method: str
    path: str
    headers: Mapping[str, str]
    status: int
    at_s: float


@dataclass(frozen=True)
class Response:
    """A response. `content` marks the bytes of a file, to which Range, `corrupt` and `cut_after` apply."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bool = False


@dataclass(frozen=True)
class Refusal:
    """A response in place of the regular one, for every request whose path matches the regular expression."""

    response: Response
    path: str = ""


@dataclass(frozen=True)
class Fault:
    """How a server fails; by default not at all."""

    listen: str = "open"
    """`open`; `refused` (the port is closed); `dropped` (the kernel drops the SYN); `silent` (connections are accepted
    and nothing is sent, not even in the TLS handshake); `mute` (TLS is established, and no request is answered)."""
    certificate: str = "good"
    """`good`, `expired`, `future`, `another-host` or `company` (signed by another authority)."""
    refusals: tuple[Refusal, ...] = ()
    body_bytes_per_s: float | None = None
    header_bytes_per_s: float | None = None
    slow_paths: str = ""
    """Only requests whose path matches this regular expression are slow."""
    corrupt: bool = False
    """Files have the right length and one wrong byte in the middle."""
    cut_after: int | None = None
    """The connection is closed after this many bytes of a file."""
    cuts: int | None = None
    """How often that happens; None: every time."""
    moved: int = 0
    """A redirect of this status to the same path on 127.0.0.1, for requests that name another host."""
    moved_paths: str = ""
    """Only requests whose path matches this regular expression are redirected."""
    clock_s: float = 0.0
    """How far the server's clock, as its header Date tells it, is ahead of the machine's."""


Handler = Callable[[str, str, Mapping[str, str]], Response]
"""Maps method, path and headers to a response."""


@dataclass
class Server:
    """A server on a port of its own; a context manager."""

    name: str
    handler: Handler
    fault: Fault
    log: list[Request]
    context: ssl.SSLContext | None = None
    host: str = "localhost"
    address: str = "127.0.0.1"
    port: int = 0
    """0: any free port, set once the server listens."""

    def __enter__(self) -> Self:
        self._cuts = 0
        self._stopped = threading.Event()
        self._stack = contextlib.ExitStack()
        self._open: set[socket.socket] = set()
        self._listener: Listener | None = None
        if self.fault.listen in ("refused", "dropped"):
            # Bound but not listening: connections are refused, and no other process can take the port.
            bound = self._stack.enter_context(socket.socket())
            bound.bind((self.address, self.port))
            self.port = bound.getsockname()[1]
            if self.fault.listen == "dropped":
                self._drop(bound)
            return self
        self._listener = Listener((self.address, self.port), self, _Connection)
        self.port = self._listener.server_address[1]
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._stack.close()
        if self._listener is None:
            return
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        for connection in list(self._open):
            _close(connection)

    def _drop(self, bound: socket.socket) -> None:
        """Fill the queue of a listener that accepts nothing: the kernel drops each further SYN."""
        bound.listen(0)
        for _ in range(BACKLOG_CONNECTIONS):
            waiting = self._stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((self.address, self.port))
        time.sleep(SETTLE_S)

    @property
    def url(self) -> str:
        """Its URL, without a slash at the end."""
        scheme, default_port = ("https", 443) if self.context else ("http", 80)
        return f"{scheme}://{self.host}" + ("" if self.port == default_port else f":{self.port}")

    def record(self, method: str, path: str, headers: Mapping[str, str], status: int) -> None:
        """Add one request to the log."""
        self.log.append(Request(self.name, method, path, dict(headers), status, time.monotonic()))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the server stops, or for `seconds`; returns whether it has stopped."""
        return self._stopped.wait(seconds)

    def respond(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        """The response, changed as the fault demands."""
        if self.fault.moved and "127.0.0.1" not in headers.get("host", "") and re.search(self.fault.moved_paths, path):
            there = self.url.replace(self.host, "127.0.0.1")
            return Response(self.fault.moved, b"", {"Location": f"{there}{path}"})
        for refusal in self.fault.refusals:
            if re.search(refusal.path, path):
                return refusal.response
        response = self.handler(method, path, headers)
        if response.content and self.fault.corrupt and len(response.body) > 1:
            body = bytearray(response.body)
            body[len(body) // 2] ^= 0x40
            response = Response(response.status, bytes(body), response.headers, response.content)
        return _apply_range(response, headers.get("range"))

    def cut(self, response: Response) -> int | None:
        """After how many bytes of this response's body the connection is closed, if it is."""
        after = self.fault.cut_after
        if after is None or not response.content or len(response.body) <= after or self._cuts == self.fault.cuts:
            return None
        self._cuts += 1
        return after


class Listener(ThreadingHTTPServer):
    """Accepts connections for its owner. A client that hangs up is expected here, so there is no traceback."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], owner: Any, connection: type[BaseHTTPRequestHandler]) -> None:
        self.owner = owner
        super().__init__(address, connection)

    def handle_error(self, request: object, client_address: object) -> None: ...


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def setup(self) -> None:
        owner = self.server.owner
        owner._open.add(self.request)
        if owner.fault.listen == "silent":
            owner.wait()
        elif owner.context:
            # In the connection's own thread: a client that never sends a handshake must not block the others.
            raw = self.request
            raw.settimeout(HANDSHAKE_S)
            try:
                self.request = owner.context.wrap_socket(raw, server_side=True)
            except OSError as error:
                owner.record("TLS", type(error).__name__, {"reason": str(error)}, 0)
                raise
            self.request.settimeout(None)
            owner._open.discard(raw)
            owner._open.add(self.request)
        super().setup()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.server.owner._open.discard(self.request)
        _close(self.request)

    def _handle(self) -> None:
        owner = self.server.owner
        path, headers = self.path, {name.lower(): value for name, value in self.headers.items()}
        if owner.fault.listen == "mute":
            owner.record(self.command, path, headers, 0)
            owner.wait()
            self.close_connection = True
            return
        with contextlib.suppress(TypeError, ValueError):
            self.rfile.read(int(headers.get("content-length", 0)))
        response = owner.respond(self.command, path, headers)
        owner.record(self.command, path, headers, response.status)
        try:
            self._send(response)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = _handle

    def _send(self, response: Response) -> None:
        owner = self.server.owner
        slow = bool(re.search(owner.fault.slow_paths, self.path))
        phrase = HTTPStatus(response.status).phrase
        lines = [f"HTTP/1.1 {response.status} {phrase}"]
        date = self.date_time_string(time.time() + owner.fault.clock_s)
        sent = {"Date": date, "Content-Length": str(len(response.body)), **response.headers}
        lines += [f"{name}: {value}" for name, value in sent.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        cut = None if self.command == "HEAD" else owner.cut(response)
        body = b"" if self.command == "HEAD" else response.body[:cut]
        self._write(head, owner.fault.header_bytes_per_s if slow else None)
        self._write(body, owner.fault.body_bytes_per_s if slow else None)
        if cut is not None:
            self.close_connection = True

    def _write(self, data: bytes, bytes_per_s: float | None) -> None:
        if bytes_per_s is None:
            self.wfile.write(data)
            return
        for index in range(len(data)):
            self.wfile.write(data[index : index + 1])
            if self.server.owner.wait(1 / bytes_per_s):
                raise BrokenPipeError

    def log_message(self, *_: object) -> None: ...


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()


def _apply_range(response: Response, range_header: str | None) -> Response:
    """The file's bytes, or the part of them that the Range header names."""
    if not response.content or response.status != HTTPStatus.OK:
        return response
    match = RANGE.match(range_header or "")
    if not match or not any(match.groups()):
        return response
    size = len(response.body)
    first = int(match[1]) if match[1] else max(size - int(match[2]), 0)
    last = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
    if first >= size or first > last:
        return Response(416, b"", {"Content-Range": f"bytes */{size}"})
    headers = {**response.headers, "Content-Range": f"bytes {first}-{last}/{size}"}
    return Response(206, response.body[first : last + 1], headers, content=True)


def parts(path: str) -> list[str]:
    """The segments of a path, decoded, without its query."""
    return [unquote(part) for part in urlsplit(path).path.split("/") if part]
