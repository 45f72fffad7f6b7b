"""The diagnosis of the Hub names the first step that failed, in time, and keeps secrets; its parts are told apart."""

import dataclasses
import json
import os
import socket
import ssl
import sys
import time
from pathlib import Path

import pytest

from dgxcert import command
from dgxcert.evidence import Recorder
from dgxcert.outcome import Inconclusive
from dgxcert.probes import (
    hub,
    hub_answer,
    hub_causes,
    hub_download,
    hub_secrets,
    hub_settings,
    hub_steps,
    hub_storage,
    hub_trust,
    hub_wire,
)
from dgxcert.probes.hub import Diagnosis, Step
from dgxcert.probes.hub_settings import Unusable
from dgxcert.probes.hub_walk import Probed, Skipped, Walk
from dgxcert.probes.hub_wire import Answer, Trouble

VARIABLES = (
    *("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_XET"),
    *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HF_HUB_DISABLE_IMPLICIT_TOKEN", "SSL_CERT_DIR", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
    *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"),
)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    hub_wire.resolve.cache_clear()
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))


PROBED = Probed("tiny", "0" * 40, "model.safetensors", 9)


def answer(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    return Answer("https://h/x", status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


# The answers


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


# The settings


def test_an_environment_without_settings_asks_the_public_hub_directly() -> None:
    found = hub_settings.read()
    assert (found.endpoint, found.token, found.host) == ("https://huggingface.co", "", "huggingface.co")
    assert "directly, trusts the usual authorities, no token" in found.words()


@pytest.mark.parametrize("where", ["", "ftp://huggingface.co", "file:///etc/passwd", "huggingface.co", "https://[::1"])
def test_an_endpoint_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", where)
    with pytest.raises(Unusable, match="which is no web address") as raised:
        hub_settings.read()
    assert raised.value.cause == "endpoint"


def test_a_proxys_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret%21@proxy:3128")
    assert "through proxy http://proxy:3128" in hub_settings.read().words()
    assert "secret" not in hub_settings.read().words()
    assert hub_settings.credentials("http://me:secret%21@proxy:3128") == "me:secret!"


@pytest.mark.parametrize(
    ("proxy", "cause"),
    [
        ("http://", "proxy-address"),
        ("http://proxy:99999", "proxy-address"),
        ("http://me:pa/55@proxy:3128", "proxy-address"),
        ("socks5h://proxy:1080", "proxy-socks"),
    ],
)
def test_a_proxy_that_is_no_address_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str, cause: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(Unusable) as raised:
        hub_settings.read()
    assert raised.value.cause == cause
    assert "55" not in str(raised.value)


@pytest.mark.parametrize("endpoint", ["me:secret@hub.example", "https://me:se/cret@hub.example", "https://me:secret@h"])
def test_a_mirrors_password_is_never_shown(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert "cret" not in str(hub_steps.take("settings", hub_steps.settings, Walk(PROBED)))


def test_the_proxy_is_left_out_where_it_is_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy:3128")
    assert hub_settings.proxy_for("https://huggingface.co") == "http://proxy:3128"
    monkeypatch.setenv("no_proxy", ".huggingface.co,huggingface.co")
    assert hub_settings.proxy_for("https://huggingface.co") == ""


@pytest.mark.parametrize(("name", "client"), [("SSL_CERT_FILE", "2.4.0"), ("REQUESTS_CA_BUNDLE", "0.36.2")])
def test_a_file_of_certificates_must_hold_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, client: str
) -> None:
    monkeypatch.setattr(hub_settings, "version", lambda distribution: client)
    (tmp_path / "ca.pem").write_text("no certificate\n")
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        monkeypatch.setenv(name, str(path))
        with pytest.raises(Unusable, match=f"{name} names .*, which holds no certificates") as raised:
            hub_settings.read()
        assert raised.value.cause == "certificate-file"


def test_what_a_client_does_not_read_cannot_be_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.setattr(hub_settings, "version", lambda distribution: "2.4.0")
    assert hub_settings.read().trust == hub_trust.HTTPX
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert hub_trust.told(hub_trust.HTTPX) == f"{tmp_path} (SSL_CERT_DIR)"


def test_a_token_with_line_ends_is_put_together_as_the_client_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ab\ncd\r\n")
    assert hub_settings.read().token == "hf_abcd"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert hub_settings.read().token == ""


def test_a_token_in_curly_quotes_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "\u201chf_abc\u201d")
    with pytest.raises(Unusable, match="curly quotes") as raised:
        hub_settings.read()
    assert raised.value.cause == "bad-token"


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", "/proc/nothing")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere but to a read-only disk
    with pytest.raises(Unusable, match="/proc cannot be written") as raised:
        hub_settings.read()
    assert raised.value.cause == "cache-locked"


def test_a_token_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_text("hf_secret")

    def refuse(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Unusable, match=r"the token file .*token cannot be read: Permission denied") as raised:
        hub_settings.read()
    assert raised.value.cause == "token-file"


def test_the_tokens_source_is_said_and_not_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijk")
    assert "token from HF_TOKEN" in hub_settings.read().words()
    assert "hf_abc" not in hub_settings.read().words() + repr(hub_settings.read())


def test_secrets_are_scrubbed_from_whatever_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "odd-token")
    said = f"odd-token permit hf_{'a' * 34} http://me:pa/ss@p https://cdn/x?X-Amz-Signature=1&b=2 done"
    wanted = "[secret] [secret] [secret] http://[secret]@p https://cdn/x?[left out] done"
    assert hub_secrets.scrub(said, "permit") == wanted
    assert hub_secrets.scrub("No module named 'hf_transfer'") == "No module named 'hf_transfer'"
    assert "sid=1" not in hub_secrets.scrub("HTTP 302 leads to /login?sid=1")
    assert "\x1b" not in hub_secrets.scrub("\x1b[2J")
    assert hub_secrets.without_password("https://me:pass/word@host/x?sig=1") == "https://host/x"


def test_each_client_is_told_what_to_trust_by_its_own_variables() -> None:
    plain = hub_settings.Settings("https://h", "", "", True, "")
    assert plain.trust == ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    assert dataclasses.replace(plain, uses_requests=False).trust == ("SSL_CERT_FILE", "SSL_CERT_DIR")


def test_a_switch_of_xet_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "yes")
    assert "Xet is switched off by HF_HUB_DISABLE_XET" in hub_settings.read().words()


# The steps


def test_a_step_is_told_apart_by_what_it_raises() -> None:
    def raising(error: Exception) -> dict[str, object]:
        def step(_: Walk) -> str:
            raise error

        return hub_steps.take("cas", step, Walk(PROBED))

    assert hub_steps.take("dns", lambda _: "found", Walk(PROBED))["state"] == "ok"
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

    assert hub_steps.take("cdn", step, Walk(PROBED))["state"] == "ok"
    left += [Trouble(cause, "h", "reset"), Trouble(cause, "h", "reset")]
    assert hub_steps.take("cdn", step, Walk(PROBED))["cause"] == cause


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
    assert hub_storage.first_part(body) == part


def test_names_that_nobody_knows_are_told_from_a_silent_name_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, cause in ((socket.EAI_NONAME, "no-name"), (socket.EAI_AGAIN, "dns-silent")):

        def refuse(*_: object, number: int = number, **__: object) -> None:
            raise socket.gaierror(number, "said")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        with pytest.raises(Trouble, match="said") as raised:
            hub_wire.resolve("huggingface.co", 443)
        assert raised.value.cause == cause


def test_a_port_that_refuses_and_one_that_is_silent_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_wire, "LIMIT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        at = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(Trouble, match="did not answer within") as raised:
            hub_wire.ask(at, ssl.create_default_context())
        assert raised.value.cause == "late"
    with pytest.raises(Trouble, match="refuses the connection") as raised:
        hub_wire.ask(at, ssl.create_default_context())
    assert raised.value.cause == "refused"
    with pytest.raises(Trouble) as raised:
        hub_wire.ask("local:///folder", ssl.create_default_context())
    assert raised.value.cause == "no-address"


# The client


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
    assert hub_download.cause_of(error) == cause


def test_the_names_are_those_of_the_installed_client() -> None:
    errors = pytest.importorskip("huggingface_hub.errors", reason="needs the stack: make setup")
    for name, _ in hub_download.CAUSES:
        assert hasattr(errors, name), name


def test_an_error_is_told_with_what_caused_it() -> None:
    error = RuntimeError("no file\nsecond line")
    error.__cause__ = OSError("reset")
    assert hub_download.in_words(error) == "RuntimeError: no file < OSError: reset"


def test_a_small_file_is_held_against_gits_own_hash_and_a_large_one_against_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello\n")
    assert hub_download.fingerprint(tmp_path / "f", "0" * 40) == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert str(hub_download.fingerprint(tmp_path / "f", "0" * 64)).startswith("5891b5b522d5df086d0ff0b110fbd9d2")
    assert hub_download.fingerprint(tmp_path / "f", "0" * 32) is None  # MD5, as some mirrors give


# The whole


def test_every_cause_has_a_meaning_and_steps_and_names_no_hole() -> None:
    for cause in hub_causes.CAUSES:
        for step in ("dns", "tls", "cas", "cdn", "download", "resume"):
            found = Diagnosis((Step(step, "failed", cause, "host.example", "seen", 0.1),), 1.0)
            assert found.meaning
            assert found.remedy
            assert "{" not in found.meaning + " ".join(found.remedy).replace("%{http_code}", "").replace(
                "%{speed_download}", ""
            ).replace("${HF_TOKEN_PATH", "")


@pytest.mark.parametrize(
    ("step", "cause", "conclusive"),
    [
        ("settings", "certificate-file", True),
        ("dns", "no-name", False),
        ("tcp", "dropped", False),
        ("tcp", "refused", False),
        ("tcp", "proxy-refuses", True),
        ("tls", "tls-issuer", True),
        ("tls", "late", False),
        ("http", "captive", True),
        ("http", "rate", False),
        ("http", "broken", False),
        ("identity", "bad-token", True),
        ("metadata", "gated", True),
        ("cas", "late", True),
        ("cas", "dropped", True),
        ("cdn", "out-of-time", False),
        ("transfer", "cut", True),
        ("cdn", "refused", True),
        ("cas", "broken", False),
        ("transfer", "slow", False),
        ("download", "wrong-bytes", True),
        ("download", "late", False),
        ("resume", "client", False),
        ("never heard of", "never heard of", False),
    ],
)
def test_what_was_measured_wrong_fails_and_what_did_not_answer_is_inconclusive(
    step: str, cause: str, conclusive: bool
) -> None:
    found = Diagnosis((Step("settings", "ok", "", "", "", 0.0), Step(step, "failed", cause, "h", "seen", 0.1)), 1.0)
    assert (found.failed, found.conclusive) == (step, conclusive)


def test_the_way_without_xet_is_only_recommended_where_the_cdn_answers() -> None:
    shut = Step("cas", "failed", "late", "cas.example", "seen", 4.5)
    for cdn, told in (("ok", True), ("failed", False)):
        found = Diagnosis((shut, Step("cdn", cdn, "late", "cdn.example", "seen", 0.1)), 5.0)
        assert any("HF_HUB_DISABLE_XET=1" in step for step in found.remedy) is told
        assert found.failed == "cas"


def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Let this program be the process that takes the steps."""
    (tmp_path / "steps.py").write_text(code)
    follow = command.follow

    def start(args: list[str], **rest: object) -> bool:
        return follow([sys.executable, str(tmp_path / "steps.py")], **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "follow", start)


def said(name: str, state: str = "ok") -> str:
    step = {"name": name, "state": state, "cause": "", "host": "h", "found": "seen", "seconds": 0.1}
    return f"print('''{json.dumps({'begun': name, 'host': 'h'})}'''); print('''{json.dumps(step)}''', flush=True)\n"


def test_a_step_that_hangs_is_ended_from_outside_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hangs = f"{said('settings')}print('''{json.dumps({'begun': 'dns', 'host': 'name'})}''', flush=True)\n"
    program(monkeypatch, tmp_path, f"{hangs}import time; time.sleep(60)")
    monkeypatch.setattr(hub, "STEP_S", 1.0)
    started = time.monotonic()
    found = hub.diagnose()
    assert time.monotonic() - started < 10
    assert (found.failed, found.steps[-1].cause, found.steps[-1].host) == ("dns", "dns-silent", "name")
    assert not found.conclusive


def test_a_process_that_ends_in_a_step_is_named_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(monkeypatch, tmp_path, f"print('''{json.dumps({'begun': 'tls', 'host': 'h'})}''', flush=True)\n")
    assert [(step.name, step.cause) for step in hub.diagnose().steps] == [("tls", "crashed")]
    program(monkeypatch, tmp_path, "")
    assert [(step.name, step.cause) for step in hub.diagnose().steps] == [("settings", "crashed")]


def test_a_walk_that_ends_between_two_steps_is_not_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(monkeypatch, tmp_path, said("settings") + said("cas-address"))
    found = hub.diagnose()
    assert (found.failed, found.steps[-1].cause, found.conclusive) == ("cdn", "crashed", False)


def test_the_time_of_the_whole_running_out_blames_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun = f"print('''{json.dumps({'begun': 'cas', 'host': 'h'})}''', flush=True)\n"
    program(monkeypatch, tmp_path, f"{said('settings')}{begun}import time; time.sleep(60)")
    monkeypatch.setattr(hub, "WHOLE_S", 2.0)
    found = hub.diagnose()
    assert (found.failed, found.steps[-1].cause, found.conclusive) == ("cas", "out-of-time", False)


@pytest.mark.parametrize(
    ("stdout", "returncode", "state", "cause"),
    [
        ('{"state": "ok", "cause": "", "found": "as the Hub says"}', 0, "ok", ""),
        ('{"state": "failed", "cause": "wrong-bytes", "found": "other"}', 0, "failed", "wrong-bytes"),
        ("Segmentation fault", -11, "failed", "crashed"),
        ("", None, "late", "late"),
    ],
)
def test_what_the_client_came_to_is_the_next_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stdout: str, returncode: int | None, state: str, cause: str
) -> None:
    program(monkeypatch, tmp_path, said("settings") + said("cdn"))
    monkeypatch.setenv("HF_ENDPOINT", "http://hub")
    done = command.Completed(("python",), returncode, stdout, "")
    monkeypatch.setattr(command, "run", lambda args, **_: done)
    found = hub.diagnose()
    assert [step.name for step in found.steps][:3] == ["settings", "cdn", "download"]
    assert (found.steps[2].state, found.steps[2].cause) == (state, cause)
    assert (found.failed == "none") is (state == "ok")


def test_no_download_is_begun_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(monkeypatch, tmp_path, said("settings") + said("cdn"))
    monkeypatch.setattr(hub, "TOO_LITTLE_S", 100.0)
    assert (hub.diagnose().failed, hub.diagnose().steps[-1].state) == ("download", "late")


def test_only_the_first_switch_that_is_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    assert hub_settings.offline_by_choice() == "TRANSFORMERS_OFFLINE"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert hub_settings.offline_by_choice() == ""


@pytest.mark.parametrize("value", ["1", "true", "ON", "yes"])
def test_a_hub_that_is_switched_off_is_not_asked_and_the_cache_must_do(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    found = hub.diagnose(["gpt2"])
    assert (found.failed, found.conclusive) == ("cache", True)
    assert "gpt2 at 607a30d783df: config.json is not there" in found.says
    assert found.remedy[0].startswith("With the Hub switched on: hf download gpt2 ")


def test_a_hub_that_is_switched_off_and_not_needed_was_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    with pytest.raises(Inconclusive, match="TRANSFORMERS_OFFLINE is set, so the Hub was not asked"):
        hub.diagnose()


def test_without_any_network_the_name_is_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.invalid")
    found = hub.diagnose()
    assert (found.failed, found.conclusive) == ("dns", False)
    with pytest.raises(Inconclusive, match=r"hub\.invalid"):
        found.keep(Recorder())
    assert "HF_ENDPOINT" in os.environ
