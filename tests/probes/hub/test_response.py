"""Responses: the Hub's own are distinguished from pages of a proxy or a portal, and each refusal has its cause."""

import pytest

from dgxcert.probes.hub import response as hub_response
from dgxcert.probes.hub.http_request import RequestFailed, Response

pytestmark = pytest.mark.usefixtures("plain_hub_environment")


def response(status: int, body: bytes = b"{}", **headers: str) -> Response:
    return Response("https://h/x", status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("page", "cause"),
    [
        (response(200, b"<html>log in</html>"), "captive-portal"),
        (response(200, b"[]"), "captive-portal"),
        (response(302, b"", location="http://portal/login"), "captive-portal"),
        (response(403, b"<html>blocked</html>"), "blocked"),
        (response(407, b"<html>who?</html>"), "proxy-login"),
        (response(429, b"slow down"), "rate-limited"),
        (response(503, b"<html>away</html>"), "server-error"),
    ],
)
def test_page_is_not_the_hubs_response(page: Response, cause: str) -> None:
    with pytest.raises(RequestFailed) as raised:
        hub_response.json_body(page)
    assert raised.value.cause == cause


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        (response(401), "bad-token"),
        (response(403), "blocked"),
        (response(404), "not-found"),
        (response(418), "unexpected-response"),
        (response(429), "rate-limited"),
        (response(500), "server-error"),
        (response(401, x_error_code="GatedRepo"), "gated"),
        (response(403, x_error_code="GatedRepo"), "gated"),
        (response(401, x_error_code="RepoNotFound"), "not-found"),
        (response(404, x_error_code="RevisionNotFound"), "not-found"),
        (response(400, x_error_code="Unheard"), "unexpected-response"),
    ],
)
def test_every_refusal_has_its_cause(refusal: Response, cause: str) -> None:
    with pytest.raises(RequestFailed) as raised:
        hub_response.require_success(refusal)
    assert raised.value.cause == cause


@pytest.mark.parametrize(
    ("page", "cause"),
    [
        (response(403), "blocked"),
        (response(302, location="http://portal/"), "captive-portal"),
        (response(200, b"<html>", content_type="text/html; charset=utf-8"), "captive-portal"),
        (response(200, b"Blocked by policy", content_type="text/plain", content_length="17"), "captive-portal"),
        (response(500), "server-error"),
    ],
)
def test_page_is_not_a_file(page: Response, cause: str) -> None:
    with pytest.raises(RequestFailed) as raised:
        hub_response.require_file_bytes(page, 9)
    assert raised.value.cause == cause


def test_part_and_whole_of_a_file_are_accepted() -> None:
    hub_response.require_file_bytes(response(206, b"\0"), 9)
    hub_response.require_file_bytes(response(200, b"123456789", content_length="9"), 9)
