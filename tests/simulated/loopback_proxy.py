"""A forward proxy on loopback that tunnels, refuses, or requires a user name and a password."""

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

from simulated.loopback_server import Listener, Request

TUNNELS, REFUSES, DEMANDS, SILENT = "tunnels", "refuses", "demands", "silent"
USER, PASSWORD = "student", "LoopbackProxyPasswordNeverSeen"
ENCODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
ACCESS_DENIED = b"<html><head><title>Access Denied</title></head><body>Policy forbids this host.</body></html>"
BLOCK = 1 << 16


@dataclass
class LoopbackProxy:
    """A proxy that `tunnels`; `refuses` every host with 403, or only those whose port is in `refused_ports`;
    `demands` user name and password with 407; or accepts connections and stays `silent`."""

    behaviour: str = TUNNELS
    refused_ports: frozenset[int] = frozenset()
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._listener = Listener(("127.0.0.1", 0), self, _Connection)
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    @property
    def url(self) -> str:
        """The value for HTTPS_PROXY, without a user."""
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    @property
    def url_with_user(self) -> str:
        """The value for HTTPS_PROXY, with user and password."""
        return self.url.replace("//", f"//{USER}:{PASSWORD}@")

    def environment(self, *, user: bool = False) -> dict[str, str]:
        """The variables that route a client through this proxy, in both spellings, connections to loopback included."""
        url = self.url_with_user if user else self.url
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        return {**dict.fromkeys(names, url), "NO_PROXY": "", "no_proxy": ""}


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def _log(self, status: int) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.owner.requests.append(Request("proxy", self.command, self.path, headers, status, 0.0))

    def _allows(self, port: int | None) -> bool:
        """Whether this request is allowed; if not, it has been answered."""
        owner = self.server.owner
        if owner.behaviour == SILENT:
            self._log(0)
            owner._stopped.wait()
            return False
        if owner.behaviour == DEMANDS and self.headers.get("Proxy-Authorization") != f"Basic {ENCODED}":
            self._send(407, ACCESS_DENIED, {"Proxy-Authenticate": 'Basic realm="Example Corp"'})
            return False
        if owner.behaviour == REFUSES or port in owner.refused_ports:
            self._send(403, ACCESS_DENIED, {})
            return False
        return True

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._log(status)
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
        if not self._allows(int(port)):
            return
        try:
            upstream = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
        except OSError as error:
            self._send(502, f"<html><body>{error}</body></html>".encode(), {})
            return
        self._log(200)
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        self.close_connection = True
        with upstream, contextlib.suppress(OSError):
            self._copy(upstream)

    def _copy(self, upstream: socket.socket) -> None:
        peers = {self.connection: upstream, upstream: self.connection}
        while not self.server.owner._stopped.is_set():
            for end in select.select(list(peers), [], [], 0.2)[0]:
                data = end.recv(BLOCK)
                if not data:
                    return
                peers[end].sendall(data)

    def _forward(self) -> None:
        """Plain HTTP: the request line holds the whole URL."""
        if not self._allows(urlsplit(self.path).port):
            return
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        request = urllib.request.Request(self.path, headers=headers, method=self.command)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
        try:
            response = opener.open(request, timeout=10)
        except urllib.error.HTTPError as error:
            response = error
        except OSError as error:
            self._send(502, f"<html><body>{error}</body></html>".encode(), {})
            return
        with response:
            body = response.read()
            self._log(response.status)
            self.send_response(response.status)
            kept = [(name, value) for name, value in response.headers.items() if name.lower() != "connection"]
            for name, value in kept:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = _forward

    def log_message(self, *_: object) -> None: ...


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None
