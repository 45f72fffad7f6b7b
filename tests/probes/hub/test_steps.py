"""Each part of the way to the Hub is told apart: answers, names, connections, and what the client says."""

import socket
import ssl
from pathlib import Path

import pytest

from dgxcert.probes.hub import answer as hub_answer
from dgxcert.probes.hub import download, http_request, settings, steps, storage
from dgxcert.probes.hub.context import Probed, Skipped, Walk
from dgxcert.probes.hub.http_request import Answer, Trouble
from dgxcert.probes.hub.settings import Unusable

pytestmark = pytest.mark.usefixtures("plain_hub_environment")

PROBED = Probed("tiny", "0" * 40, "model.safetensors", 9)


def answer(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    return Answer("https://h/x", status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (answer(200, b"<html>log in</html>"), "captive"),
        (answer(200, b"[]"), "captive"),
        (answer(302, b"", location="http://portal/login"), "captive"),
        (answer(403, b"<html>blocked</html>"), "proxy-page"),
        (answer(407, b"<html>who?</html>"), "proxy-login"),
        (answer(429, b"slow down"), "rate"),
        (answer(503, b"<html>away</html>"), "broken"),
    ],
)
def test_a_page_is_never_the_hubs_answer(given: Answer, cause: str) -> None:
    with pytest.raises(Trouble) as raised:
        hub_answer.content(given)
    assert raised.value.cause == cause


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (answer(401), "bad-token"),
        (answer(403), "proxy-page"),
        (answer(404), "missing"),
        (answer(418), "http-other"),
        (answer(429), "rate"),
        (answer(500), "broken"),
        (answer(401, x_error_code="GatedRepo"), "gated"),
        (answer(403, x_error_code="GatedRepo"), "gated"),
        (answer(401, x_error_code="RepoNotFound"), "missing"),
        (answer(404, x_error_code="RevisionNotFound"), "missing"),
        (answer(400, x_error_code="Unheard"), "http-other"),
    ],
)
def test_every_refusal_has_its_cause(given: Answer, cause: str) -> None:
    with pytest.raises(Trouble) as raised:
        hub_answer.must_be_well(given)
    assert raised.value.cause == cause


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (answer(403), "proxy-page"),
        (answer(302, location="http://portal/"), "captive"),
        (answer(200, b"<html>", content_type="text/html; charset=utf-8"), "captive"),
        (answer(200, b"Blocked by policy", content_type="text/plain", content_length="17"), "captive"),
        (answer(500), "broken"),
    ],
)
def test_a_page_is_no_file(given: Answer, cause: str) -> None:
    with pytest.raises(Trouble) as raised:
        hub_answer.must_bring_bytes(given, 9)
    assert raised.value.cause == cause


def test_bytes_are_a_file() -> None:
    hub_answer.must_bring_bytes(answer(206, b"\0"), 9)
    hub_answer.must_bring_bytes(answer(200, b"123456789", content_length="9"), 9)


def test_a_step_is_told_apart_by_what_it_raises() -> None:
    def raising(error: Exception) -> dict[str, object]:
        def step(_: Walk) -> str:
            raise error

        return steps.take("cas", step, Walk(PROBED))

    assert steps.take("dns", lambda _: "found", Walk(PROBED))["state"] == "ok"
    assert raising(Skipped("not needed"))["state"] == "skipped"
    assert raising(Unusable("endpoint", "no address"))["cause"] == "endpoint"
    assert raising(Trouble("late", "h", "waited"))["host"] == "h"
    assert raising(Trouble("bad-token", "h", "401"))["cause"] == "login-needed"  # nobody has given one
    assert raising(KeyError("bytes"))["cause"] == "http-other"  # an answer of a form that no Hub gives


@pytest.mark.parametrize("cause", ["cut", "late"])
def test_a_store_that_is_unlucky_once_is_asked_again_and_twice_is_a_finding(cause: str) -> None:
    left = [Trouble(cause, "h", "reset")]

    def step(_: Walk) -> str:
        if left:
            raise left.pop()
        return "came through"

    assert steps.take("cdn", step, Walk(PROBED))["state"] == "ok"
    left += [Trouble(cause, "h", "reset"), Trouble(cause, "h", "reset")]
    assert steps.take("cdn", step, Walk(PROBED))["cause"] == cause


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"xorbs": {"a": [{"url": "u", "ranges": [{"bytes": {"start": 0, "end": 9}}]}]}}, ("u", "bytes=0-9")),
        ({"fetch_info": {"a": [{"url": "v", "url_range": {"start": 3, "end": 4}}]}}, ("v", "bytes=3-4")),
        ({"fetch_info": {}}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_the_first_part_is_found_in_both_versions_of_the_protocol(body: dict[str, object], part: object) -> None:
    assert storage.first_part(body) == part


@pytest.mark.parametrize(
    ("known", "tried"),
    [
        (["::1", "::2", "::3", "::4", "1.1.1.1", "1.1.1.2"], ["::1", "1.1.1.1", "::2"]),
        (["1.1.1.1", "::1"], ["1.1.1.1", "::1"]),
        (["1.1.1.1"], ["1.1.1.1"]),
    ],
)
def test_where_one_family_of_addresses_leads_nowhere_the_other_is_tried_in_time(
    known: list[str], tried: list[str]
) -> None:
    assert http_request.of_each_family(known) == tried


@pytest.mark.parametrize(
    ("mirror", "tag", "well"), [(False, "a" * 64, True), (False, "a" * 32, False), (True, "a" * 32, True)]
)
def test_the_public_hub_must_give_a_hash_that_can_be_compared(
    monkeypatch: pytest.MonkeyPatch, mirror: bool, tag: str, well: bool
) -> None:
    headers = {"x_repo_commit": PROBED.revision, "x_linked_etag": f'"{tag}"', "x_linked_size": "9"}
    monkeypatch.setattr(Walk, "get", lambda *_, **__: answer(302, **headers))
    endpoint = "https://mirror" if mirror else settings.DEFAULT_ENDPOINT
    walk = Walk(PROBED, settings.Settings(endpoint, "", "", True, ""))
    said = steps.take("metadata", steps.metadata, walk)
    assert (said["state"], said["cause"]) == (("ok", "") if well else ("failed", "no-metadata"))


def test_names_that_nobody_knows_are_told_from_a_silent_name_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, cause in ((socket.EAI_NONAME, "no-name"), (socket.EAI_AGAIN, "dns-silent")):

        def refuse(*_: object, number: int = number, **__: object) -> None:
            raise socket.gaierror(number, "said")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        with pytest.raises(Trouble, match="said") as raised:
            http_request.resolve("huggingface.co", 443)
        assert raised.value.cause == cause


def test_a_port_that_refuses_and_one_that_is_silent_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_request, "LIMIT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(Trouble, match="did not answer within") as raised:
            http_request.ask(at, ssl.create_default_context())
        assert raised.value.cause == "late"
    with pytest.raises(Trouble, match="refuses the connection") as raised:
        http_request.ask(at, ssl.create_default_context())
    assert raised.value.cause == "refused"
    with pytest.raises(Trouble) as raised:
        http_request.ask("local:///folder", ssl.create_default_context())
    assert raised.value.cause == "no-address"


class HfHubHTTPError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"{status} Error")
        self.response = type("Response", (), {"status_code": status})()


class RepositoryNotFoundError(HfHubHTTPError): ...


class GatedRepoError(RepositoryNotFoundError): ...


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


class EntryNotFoundError(Exception): ...


class LocalEntryNotFoundError(EntryNotFoundError): ...


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (GatedRepoError(403), "gated"),
        (RepositoryNotFoundError(401), "missing"),
        (LocalEntryNotFoundError("not in the cache"), "client"),
        (EntryNotFoundError("no such file"), "missing"),
        (HfHubHTTPError(401), "bad-token"),
        (HfHubHTTPError(429), "rate"),
        (HfHubHTTPError(502), "broken"),
        (HfHubHTTPError(418), "client"),
        (caused(LocalEntryNotFoundError("not in the cache"), HfHubHTTPError(429)), "rate"),
        (caused(RuntimeError("no"), HfHubHTTPError(500)), "broken"),
        (RuntimeError("Task error: File reconstruction error"), "client"),
    ],
)
def test_errors_of_the_client_are_told_apart_by_its_own_names(error: Exception, cause: str) -> None:
    assert download.cause_of(error) == cause


def test_the_names_are_those_of_the_installed_client() -> None:
    errors = pytest.importorskip("huggingface_hub.errors", reason="needs the stack: make setup")
    for name, _ in download.CAUSES:
        assert hasattr(errors, name), name


def test_an_error_is_told_with_what_caused_it() -> None:
    error = RuntimeError("no file\nsecond line")
    error.__cause__ = OSError("reset")
    assert download.in_words(error) == "RuntimeError: no file < OSError: reset"


def test_a_small_file_is_held_against_gits_own_hash_and_a_large_one_against_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello\n")
    (large,) = download.fingerprints(tmp_path / "f", "0" * 64)
    assert large.startswith("5891b5b522d5df086d0ff0b110fbd9d2")
    gits, plain = download.fingerprints(tmp_path / "f", "0" * 40)  # some mirrors give the plain one
    assert (gits, plain) == ("ce013625030ba8dba906f756967f9e9ca394464a", "f572d396fae9206628714fb2ce00f72e94f2258f")
    assert download.fingerprints(tmp_path / "f", "0" * 32) == ()  # MD5, as some mirrors give
