"""The context of a diagnosis: requests go to the configured Hub, with the user's token if there is one."""

from typing import Any

import pytest

from dgxcert.probes.hub import http_request, trust_store
from dgxcert.probes.hub.context import Context, ProbedFile
from dgxcert.probes.hub.http_request import Response
from dgxcert.probes.hub.settings import Settings

PROBED = ProbedFile("org/model", "a" * 40, "sub folder/model.safetensors", 9)
ENDPOINT = "https://hub.lab"


class Requests:
    """The requests that were sent, each answered with a redirect where one is set, or else with 200."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.redirects: dict[str, str] = {}

    def send(self, url: str, trust: object, **options: Any) -> Response:
        self.sent.append((url, options))
        if url in self.redirects:
            return Response(url, 302, {"location": self.redirects[url]}, b"")
        return Response(url, 200, {}, b"")


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    requests = Requests()
    monkeypatch.setattr(http_request, "send", requests.send)
    monkeypatch.setattr(trust_store, "ssl_context", lambda variables: None)
    return requests


def context(token: str = "hf_secret") -> Context:
    return Context(PROBED, Settings(ENDPOINT, token, "", True, ""))


def test_a_probed_file_survives_conversion_to_arguments_and_back() -> None:
    assert ProbedFile.from_arguments(PROBED.arguments) == PROBED
    assert all(isinstance(argument, str) for argument in PROBED.arguments)


def test_the_path_of_a_file_is_quoted_and_its_folder_kept() -> None:
    assert PROBED.path == f"/org/model/resolve/{'a' * 40}/sub%20folder/model.safetensors"


def test_settings_that_no_step_has_read_are_a_bug() -> None:
    with pytest.raises(TypeError, match="read by the first step"):
        _ = Context(PROBED).settings


@pytest.mark.parametrize(("token", "headers"), [("hf_secret", {"Authorization": "Bearer hf_secret"}), ("", {})])
def test_a_request_to_the_hub_carries_the_token_only_if_there_is_one(
    requests: Requests, token: str, headers: dict[str, str]
) -> None:
    context(token).get("/api/whoami-v2")
    assert requests.sent == [(f"{ENDPOINT}/api/whoami-v2", {"method": "GET", "headers": headers})]


def test_a_part_of_a_file_is_requested_by_its_range(requests: Requests) -> None:
    context("").get(PROBED.path, method="HEAD", byte_range="bytes=0-8")
    assert requests.sent == [(f"{ENDPOINT}{PROBED.path}", {"method": "HEAD", "headers": {"Range": "bytes=0-8"}})]


CDN = "https://cdn.lab/file"


@pytest.mark.parametrize(
    ("other_hosts", "urls"),
    [(True, [f"{ENDPOINT}/api", CDN]), (False, [f"{ENDPOINT}/api"])],
)
def test_a_redirect_to_another_host_is_followed_only_where_the_step_allows_it_and_without_the_token(
    requests: Requests, other_hosts: bool, urls: list[str]
) -> None:
    requests.redirects = {f"{ENDPOINT}/api": CDN}
    response = context().get("/api", other_hosts=other_hosts)
    assert [url for url, _ in requests.sent] == urls
    assert response.url == urls[-1]
    assert ["Authorization" in options["headers"] for _, options in requests.sent] == [True, False][: len(urls)]


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("/api/models/org/model/xet-read-token/main", f"{ENDPOINT}/api/models/org/model/xet-read-token/main"),
        ("https://cas.lab/token", "https://cas.lab/token"),
    ],
)
def test_the_read_token_is_requested_from_the_url_that_the_hub_names(
    requests: Requests, url: str, absolute: str
) -> None:
    context().request_read_token(url)
    assert requests.sent == [(absolute, {"headers": {"Authorization": "Bearer hf_secret"}})]
