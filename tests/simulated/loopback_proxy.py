"""A forward proxy on loopback that tunnels, refuses, or wants to know who asks."""

import base64
import contextlib
import select
import socket
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from simulated.loopback_server import Asked, Listener

TUNNELS, REFUSES, DEMANDS, SILENT = "tunnels", "refuses", "demands", "silent"
USER, PASSWORD = "student", "LoopbackProxyPasswordNeverSeen"
ENCODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
REFUSED = b"<html><head><title>Access Denied</title></head><body>Policy forbids this host.</body></html>"
BLOCK = 1 << 16


@dataclass
class LoopbackProxy:
    """A proxy that `tunnels`; `refuses` every host with 403, or only those whose port is in `refused_ports`;
    `demands` a user and a password with 407; or takes connections and is `silent`."""

    behaviour: str = TUNNELS
    refused_ports: frozenset[int] = frozenset()
    requests: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._listener = Listener(("127.0.0.1", 0), self, _Connection)
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    @property
    def url(self) -> str:
        """What HTTPS_PROXY would be, without a user."""
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    @property
    def url_with_user(self) -> str:
        """What HTTPS_PROXY would be for a user with a password."""
        return self.url.replace("//", f"//{USER}:{PASSWORD}@")

    def environment(self, *, user: bool = False) -> dict[str, str]:
        """The variables that send a client through this proxy, in both spellings, loopback included."""
        url = self.url_with_user if user else self.url
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        return {**dict.fromkeys(names, url), "NO_PROXY": "", "no_proxy": ""}


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def _note(self, status: int) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.played.requests.append(Asked("proxy", self.command, self.path, headers, status, 0.0))

    def _lets_through(self, port: int | None) -> bool:
        """Whether this request may go on; if not, it has had its answer."""
        played = self.server.played
        if played.behaviour == SILENT:
            self._note(0)
            played._over.wait()
            return False
        if played.behaviour == DEMANDS and self.headers.get("Proxy-Authorization") != f"Basic {ENCODED}":
            self._say(407, REFUSED, {"Proxy-Authenticate": 'Basic realm="Example Corp"'})
            return False
        if played.behaviour == REFUSES or port in played.refused_ports:
            self._say(403, REFUSED, {})
            return False
        return True

    def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._note(status)
        self.send_response(status)
        for name, value in {"Content-Type": "text/html", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        if not self._lets_through(int(port)):
            return
        try:
            beyond = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
        except OSError as error:
            self._say(502, f"<html><body>{error}</body></html>".encode(), {})
            return
        self._note(200)
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        self.close_connection = True
        with beyond, contextlib.suppress(OSError):
            self._pump(beyond)

    def _pump(self, beyond: socket.socket) -> None:
        ends = {self.connection: beyond, beyond: self.connection}
        while not self.server.played._over.is_set():
            for end in select.select(list(ends), [], [], 0.2)[0]:
                data = end.recv(BLOCK)
                if not data:
                    return
                ends[end].sendall(data)

    def _forward(self) -> None:
        """Plain HTTP: the whole address stands in the request."""
        if not self._lets_through(urlsplit(self.path).port):
            return
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        request = urllib.request.Request(self.path, headers=headers, method=self.command)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
        try:
            answer = opener.open(request, timeout=10)
        except urllib.error.HTTPError as error:
            answer = error
        except OSError as error:
            self._say(502, f"<html><body>{error}</body></html>".encode(), {})
            return
        with answer:
            body = answer.read()
            self._note(answer.status)
            self.send_response(answer.status)
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() != "connection"]
            for name, value in kept:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = _forward

    def log_message(self, *_: object) -> None: ...


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None
