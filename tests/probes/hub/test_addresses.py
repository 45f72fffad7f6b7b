"""Addresses: the first that answers is used, and one before it that is silent is named; a refused one is not."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from dgxcert.probes.hub import addresses

pytestmark = pytest.mark.usefixtures("plain_hub_environment")


@contextlib.contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """A listener whose queue is full: the kernel drops what comes."""
    with contextlib.ExitStack() as stack:
        bound = stack.enter_context(socket.socket())
        bound.bind((address, port))
        bound.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, port))
        time.sleep(0.05)
        yield


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.2", 0)) as server:
        yield server.getsockname()[1]


def test_silent_address_is_named_and_not_tried_again(port: int) -> None:
    with silent("127.0.0.9", port):
        addresses.connect("hub", ["127.0.0.9", "127.0.0.2"], port, 4.5).close()
        lost = addresses.lost("hub")
        assert lost == addresses.Lost(("127.0.0.9",), "127.0.0.2")
        started = time.monotonic()
        addresses.connect("hub", ["127.0.0.9", "127.0.0.2"], port, 4.5).close()
        assert time.monotonic() - started < 1


def test_refused_address_costs_nothing_and_is_not_named(port: int) -> None:
    started = time.monotonic()
    addresses.connect("hub", ["127.0.0.9", "127.0.0.2"], port, 4.5).close()
    assert time.monotonic() - started < 1.5
    assert addresses.lost("hub") is None


def test_errors_and_silence_are_told_apart(port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        addresses.connect("hub", ["127.0.0.9"], port, 4.5)
    with silent("127.0.0.9", port), pytest.raises(TimeoutError):
        addresses.connect("hub", ["127.0.0.9"], port, 1.0)


@pytest.mark.parametrize(
    ("silent_ones", "answers", "cause"),
    [
        (("2600::1",), "18.0.0.1", "ipv6-lost"),
        (("18.0.0.1",), "2600::1", "ipv4-lost"),
        (("18.0.0.1",), "18.0.0.2", "address-lost"),
        (("2600::1", "18.0.0.1"), "18.0.0.2", "address-lost"),
    ],
)
def test_family_that_is_lost_is_named(silent_ones: tuple[str, ...], answers: str, cause: str) -> None:
    assert addresses.Lost(silent_ones, answers).cause == cause
