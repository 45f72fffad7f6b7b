"""One real HTTP or HTTPS server on loopback that logs what it was asked and fails as it is told to."""

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
QUEUED = 4
"""Connections that are more than enough for a queue of length 0."""
SETTLED_S = 0.05
RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@dataclass(frozen=True)
class Asked:
    """One request as it arrived: which server, the question with its headers, and the status it got (0: none)."""

    server: str
    method: str
    path: str
    headers: Mapping[str, str]
    status: int
    at_s: float


@dataclass(frozen=True)
class Answer:
    """What is sent back. `content` marks the bytes of a file, which honour Range and may be spoilt or cut."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bool = False


@dataclass(frozen=True)
class Refusal:
    """An answer given in place of the true one, to every request whose path matches."""

    answer: Answer
    path: str = ""


@dataclass(frozen=True)
class Fault:
    """How a server fails; as it stands, not at all."""

    listen: str = "open"
    """`open`; `refused` (the port is closed); `dropped` (the kernel drops whoever knocks); `silent` (a connection is
    taken and nothing is ever said, not even TLS); `mute` (TLS is agreed on, and no request is answered)."""
    certificate: str = "good"
    """`good`, `expired`, `another-host` or `company` (another authority signed it)."""
    refusals: tuple[Refusal, ...] = ()
    body_bytes_per_s: float | None = None
    header_bytes_per_s: float | None = None
    drips: str = ""
    """Only requests whose path matches are that slow."""
    spoilt: bool = False
    """Files have the right length and one wrong byte in the middle."""
    cut_after: int | None = None
    """A file's connection is closed after so many bytes of it."""
    cuts: int | None = None
    """How often that happens; always, where None."""


Handle = Callable[[str, str, Mapping[str, str]], Answer]
"""Answers (method, path, headers)."""


@dataclass
class Server:
    """A server on a port of its own, from `__enter__` to `__exit__`."""

    name: str
    handle: Handle
    fault: Fault
    log: list[Asked]
    context: ssl.SSLContext | None = None
    host: str = "localhost"
    address: str = "127.0.0.1"
    port: int = 0
    """0 until it listens, unless a certain one is wanted."""

    def __enter__(self) -> Self:
        self._cuts = 0
        self._over = threading.Event()
        self._stack = contextlib.ExitStack()
        self._open: set[socket.socket] = set()
        self._listener: Listener | None = None
        if self.fault.listen in ("refused", "dropped"):
            # Bound but not listening: connections are refused, and no other process gets the port.
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
        self._over.set()
        self._stack.close()
        if self._listener is None:
            return
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        for connection in list(self._open):
            _close(connection)

    def _drop(self, bound: socket.socket) -> None:
        """Fill the queue of a listener that takes nobody: the kernel drops every packet that asks for more."""
        bound.listen(0)
        for _ in range(QUEUED):
            waiting = self._stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((self.address, self.port))
        time.sleep(SETTLED_S)

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        scheme, usual = ("https", 443) if self.context else ("http", 80)
        return f"{scheme}://{self.host}" + ("" if self.port == usual else f":{self.port}")

    def note(self, method: str, path: str, headers: Mapping[str, str], status: int) -> None:
        """Log one request."""
        self.log.append(Asked(self.name, method, path, dict(headers), status, time.monotonic()))

    def wait(self, seconds: float | None = None) -> bool:
        """Wait, but not longer than the server lives; whether it is over."""
        return self._over.wait(seconds)

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """The answer, with what the fault makes of it."""
        for refusal in self.fault.refusals:
            if re.search(refusal.path, path):
                return refusal.answer
        answer = self.handle(method, path, headers)
        if answer.content and self.fault.spoilt and len(answer.body) > 1:
            body = bytearray(answer.body)
            body[len(body) // 2] ^= 0x40
            answer = Answer(answer.status, bytes(body), answer.headers, answer.content)
        return _ranged(answer, headers.get("range"))

    def cut(self, answer: Answer) -> int | None:
        """After how many bytes of this answer's body the connection is closed, if it is."""
        after = self.fault.cut_after
        if after is None or not answer.content or len(answer.body) <= after or self._cuts == self.fault.cuts:
            return None
        self._cuts += 1
        return after


class Listener(ThreadingHTTPServer):
    """Takes connections for whoever is played; a client that hangs up is what these tests are about: no traceback."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, where: tuple[str, int], played: Any, connection: type[BaseHTTPRequestHandler]) -> None:
        self.played = played
        super().__init__(where, connection)

    def handle_error(self, request: object, client_address: object) -> None: ...


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def setup(self) -> None:
        played = self.server.played
        played._open.add(self.request)
        if played.fault.listen == "silent":
            played.wait()
        elif played.context:
            # Here, in the connection's own thread: one that never shakes hands keeps no other waiting.
            raw = self.request
            raw.settimeout(HANDSHAKE_S)
            try:
                self.request = played.context.wrap_socket(raw, server_side=True)
            except OSError as error:
                played.note("TLS", type(error).__name__, {"reason": str(error)}, 0)
                raise
            self.request.settimeout(None)
            played._open.discard(raw)
            played._open.add(self.request)
        super().setup()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.server.played._open.discard(self.request)
        _close(self.request)

    def _answer(self) -> None:
        played = self.server.played
        path, headers = self.path, {name.lower(): value for name, value in self.headers.items()}
        if played.fault.listen == "mute":
            played.note(self.command, path, headers, 0)
            played.wait()
            self.close_connection = True
            return
        with contextlib.suppress(TypeError, ValueError):
            self.rfile.read(int(headers.get("content-length", 0)))
        answer = played.answer(self.command, path, headers)
        played.note(self.command, path, headers, answer.status)
        try:
            self._send(answer)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = _answer

    def _send(self, answer: Answer) -> None:
        played = self.server.played
        slow = bool(re.search(played.fault.drips, self.path))
        phrase = HTTPStatus(answer.status).phrase
        lines = [f"HTTP/1.1 {answer.status} {phrase}"]
        sent = {"Date": self.date_time_string(), "Content-Length": str(len(answer.body)), **answer.headers}
        lines += [f"{name}: {value}" for name, value in sent.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        cut = None if self.command == "HEAD" else played.cut(answer)
        body = b"" if self.command == "HEAD" else answer.body[:cut]
        self._write(head, played.fault.header_bytes_per_s if slow else None)
        self._write(body, played.fault.body_bytes_per_s if slow else None)
        if cut is not None:
            self.close_connection = True

    def _write(self, data: bytes, bytes_per_s: float | None) -> None:
        if bytes_per_s is None:
            self.wfile.write(data)
            return
        for place in range(len(data)):
            self.wfile.write(data[place : place + 1])
            if self.server.played.wait(1 / bytes_per_s):
                raise BrokenPipeError

    def log_message(self, *_: object) -> None: ...


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()


def _ranged(answer: Answer, asked: str | None) -> Answer:
    """A file's bytes, or the part of them that Range asks for."""
    if not answer.content or answer.status != HTTPStatus.OK:
        return answer
    match = RANGE.match(asked or "")
    if not match or not any(match.groups()):
        return answer
    size = len(answer.body)
    first = int(match[1]) if match[1] else max(size - int(match[2]), 0)
    last = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
    if first >= size or first > last:
        return Answer(416, b"", {"Content-Range": f"bytes */{size}"})
    headers = {**answer.headers, "Content-Range": f"bytes {first}-{last}/{size}"}
    return Answer(206, answer.body[first : last + 1], headers, content=True)


def parts(path: str) -> list[str]:
    """A path's segments, decoded, without its query."""
    return [unquote(part) for part in urlsplit(path).path.split("/") if part]
