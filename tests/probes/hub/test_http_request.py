"""One HTTP request: a fault of DNS, of the connection and of the URL each have their own cause."""

import socket
import ssl

import pytest

from dgxcert.probes.hub import http_request
from dgxcert.probes.hub.http_request import RequestFailed

pytestmark = pytest.mark.usefixtures("plain_hub_environment")


@pytest.mark.parametrize(
    ("resolved", "tried"),
    [
        (["::1", "::2", "::3", "::4", "1.1.1.1", "1.1.1.2"], ["::1", "1.1.1.1", "::2"]),
        (["1.1.1.1", "::1"], ["1.1.1.1", "::1"]),
        (["1.1.1.1"], ["1.1.1.1"]),
    ],
)
def test_both_address_families_are_tried_in_time(resolved: list[str], tried: list[str]) -> None:
    assert http_request.alternate_families(resolved) == tried


@pytest.mark.parametrize(("number", "cause"), [(socket.EAI_NONAME, "unknown-host"), (socket.EAI_AGAIN, "dns-timeout")])
def test_unknown_name_and_silent_dns_server_have_different_causes(
    monkeypatch: pytest.MonkeyPatch, number: int, cause: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(RequestFailed, match="not known") as raised:
        http_request.resolve("huggingface.co", 443)
    assert raised.value.cause == cause


def test_refused_connection_and_silent_port_have_different_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_request, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(RequestFailed, match="did not answer within") as raised:
            http_request.send(url, ssl.create_default_context())
        assert raised.value.cause == "timeout"
    with pytest.raises(RequestFailed, match="refuses the connection") as raised:
        http_request.send(url, ssl.create_default_context())
    assert raised.value.cause == "refused"


@pytest.mark.parametrize("url", ["local:///folder", "https://hub.example:port/x"])
def test_url_that_is_no_web_url_is_named(url: str) -> None:
    with pytest.raises(RequestFailed) as raised:
        http_request.send(url, ssl.create_default_context())
    assert raised.value.cause == "bad-url"
