"""Relay: it resets the first connection that has received enough, and passes on all others."""

import socket
import threading
from collections.abc import Iterator

import pytest

from dgxcert.probes.hub.relay import Relay

pytestmark = pytest.mark.usefixtures("plain_hub_environment")

SENT = b"x" * 1000


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server that sends SENT on each connection and closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(SENT)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def connected(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(relay.url.rpartition(":")[2])), timeout=5)


def download(relay: Relay, port: int) -> bytes:
    """What arrives through the relay's tunnel to a port of this machine."""
    with connected(relay) as client:
        client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        received = b""
        while part := client.recv(4096):
            received += part
    return received.partition(b"\r\n\r\n")[2]


def test_first_download_is_reset_and_the_second_arrives(server: int) -> None:
    with Relay(cut_after=500) as relay:
        with pytest.raises(ConnectionResetError):
            download(relay, server)
        assert relay.was_cut
        assert download(relay, server) == SENT
        assert relay.bytes_since == len(SENT)


def test_smaller_download_is_not_reset(server: int) -> None:
    with Relay(cut_after=5000) as relay:
        assert download(relay, server) == SENT
        assert not relay.was_cut


def test_host_that_refuses_is_a_bad_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Relay(cut_after=500) as relay, connected(relay) as client:
        client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 502")
