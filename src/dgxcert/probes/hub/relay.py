"""A relay on loopback that cuts one download in the middle, as a network that fails for a moment does.

The client is told that it is a proxy. It passes connections on as they are, so TLS stays between client and Hub, and
resets the first one that has brought more than so many bytes.
"""

import contextlib
import selectors
import socket
import struct
import threading
from types import TracebackType
from urllib.parse import urlsplit

from dgxcert.probes.hub import http_request
from dgxcert.probes.hub.http_request import Trouble

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing resets the connection instead of ending it politely."""


class Relay:
    """Passes on until `cut_after` bytes have come down one connection, resets that, then passes everything on."""

    def __init__(self, cut_after: int) -> None:
        self.cut_after = cut_after
        self.was_cut = False
        self.bytes_since = 0
        """What has come down since the cut: less than the file, where the client went on from the middle."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """What the client is told."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed: the download is over
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):  # whatever ends a connection ends only that one
            asked = b""
            while b"\r\n\r\n" not in asked:
                part = client.recv(4096)
                if not part:
                    return
                asked += part
            method, where = asked.decode("latin-1").split(maxsplit=2)[:2]
            if method != "CONNECT" or not urlsplit(f"//{where}").hostname:
                client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                return
            try:
                server = http_request.connect(f"https://{where}")
            except Trouble:
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        down = 0
        server.settimeout(None)
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    source: socket.socket = key.fileobj  # type: ignore[assignment]  # sockets are what was registered
                    part = source.recv(1 << 14)
                    if not part:
                        return
                    if source is server:
                        down += len(part)
                        if self._cuts(down, len(part)):
                            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                            return
                    key.data.sendall(part)

    def _cuts(self, down: int, more: int) -> bool:
        with self._lock:
            if self.was_cut:
                self.bytes_since += more
                return False
            self.was_cut = down > self.cut_after
            return self.was_cut
