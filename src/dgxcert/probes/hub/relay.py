"""A proxy on loopback that resets one download in the middle, as a network that fails for a moment does.

It tunnels connections unread, so TLS stays between client and Hub, and resets the first one on which more than a given
number of bytes has arrived.
"""

import contextlib
import selectors
import socket
import struct
import threading
from types import TracebackType
from urllib.parse import urlsplit

from dgxcert.probes.hub import http_request
from dgxcert.probes.hub.http_request import RequestFailed

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: close() sends RST. A FIN would look like the regular end of the response."""


class Relay:
    """Resets the first connection after `cut_after` received bytes, then passes everything on."""

    def __init__(self, cut_after: int) -> None:
        self.cut_after = cut_after
        self.was_cut = False
        self.bytes_since = 0
        """Bytes received since the reset: fewer than the file has, where the client resumes the download."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Its URL for HTTPS_PROXY."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # close() alone does not wake up a thread that is blocked in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed by __exit__
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):  # an error ends this connection only
            head = b""
            while b"\r\n\r\n" not in head:
                part = client.recv(4096)
                if not part:
                    return
                head += part
            method, target = head.decode("latin-1").split(maxsplit=2)[:2]
            if method != "CONNECT" or not urlsplit(f"//{target}").hostname:
                client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                return
            try:
                server = http_request.connect(f"https://{target}")
            except RequestFailed:
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Copy bytes in both directions until one end closes or the connection is reset."""
        received = 0
        server.settimeout(None)
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    source: socket.socket = key.fileobj  # type: ignore[assignment]  # sockets are what was registered
                    part = source.recv(1 << 14)
                    if not part:
                        return
                    if source is server:
                        received += len(part)
                        if self._must_reset(received, len(part)):
                            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                            return
                    key.data.sendall(part)

    def _must_reset(self, received: int, part: int) -> bool:
        with self._lock:
            if self.was_cut:
                self.bytes_since += part
                return False
            self.was_cut = received > self.cut_after
            return self.was_cut
