"""The Hub's settings are read as its client reads them, what cannot work is named, and secrets are never said."""

import dataclasses
import os
from pathlib import Path

import pytest

from dgxcert.probes.hub import secrets, settings, steps, trust_store
from dgxcert.probes.hub.context import Probed, Walk
from dgxcert.probes.hub.settings import Unusable

pytestmark = pytest.mark.usefixtures("plain_hub_environment")

PROBED = Probed("tiny", "0" * 40, "model.safetensors", 9)


def test_an_environment_without_settings_asks_the_public_hub_directly() -> None:
    found = settings.read()
    assert (found.endpoint, found.token, found.host) == ("https://huggingface.co", "", "huggingface.co")
    assert "directly, trusts the usual authorities, no token" in found.words()


@pytest.mark.parametrize("where", ["", "ftp://huggingface.co", "file:///etc/passwd", "huggingface.co", "https://[::1"])
def test_an_endpoint_that_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", where)
    with pytest.raises(Unusable, match="which is no web address") as raised:
        settings.read()
    assert raised.value.cause == "endpoint"


def test_a_proxys_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret%21@proxy:3128")
    assert "through proxy http://proxy:3128" in settings.read().words()
    assert "secret" not in settings.read().words()
    assert settings.credentials("http://me:secret%21@proxy:3128") == "me:secret!"


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
        settings.read()
    assert raised.value.cause == cause
    assert "55" not in str(raised.value)


@pytest.mark.parametrize("endpoint", ["me:secret@hub.example", "https://me:se/cret@hub.example", "https://me:secret@h"])
def test_a_mirrors_password_is_never_shown(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert "cret" not in str(steps.take("settings", steps.settings, Walk(PROBED)))


def test_the_proxy_is_left_out_where_it_is_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy:3128")
    assert settings.proxy_for("https://huggingface.co") == "http://proxy:3128"
    monkeypatch.setenv("no_proxy", ".huggingface.co,huggingface.co")
    assert settings.proxy_for("https://huggingface.co") == ""


@pytest.mark.parametrize(("name", "client"), [("SSL_CERT_FILE", "2.4.0"), ("REQUESTS_CA_BUNDLE", "0.36.2")])
def test_a_file_of_certificates_must_hold_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, client: str
) -> None:
    monkeypatch.setattr(settings, "version", lambda distribution: client)
    (tmp_path / "ca.pem").write_text("no certificate\n")
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        monkeypatch.setenv(name, str(path))
        with pytest.raises(Unusable, match=f"{name} names .*, which holds no certificates") as raised:
            settings.read()
        assert raised.value.cause == "certificate-file"


def test_what_a_client_does_not_read_cannot_be_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.setattr(settings, "version", lambda distribution: "2.4.0")
    assert settings.read().trust == trust_store.HTTPX
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert trust_store.told(trust_store.HTTPX) == f"{tmp_path} (SSL_CERT_DIR)"


def test_a_token_with_line_ends_is_put_together_as_the_client_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ab\ncd\r\n")
    assert settings.read().token == "hf_abcd"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert settings.read().token == ""


def test_a_token_in_curly_quotes_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "\u201chf_abc\u201d")
    with pytest.raises(Unusable, match="curly quotes") as raised:
        settings.read()
    assert raised.value.cause == "bad-token"


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", "/proc/nothing")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere but to a read-only disk
    with pytest.raises(Unusable, match="/proc cannot be written") as raised:
        settings.read()
    assert raised.value.cause == "cache-locked"


def test_a_token_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_text("hf_secret")

    def refuse(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Unusable, match=r"the token file .*token cannot be read: Permission denied") as raised:
        settings.read()
    assert raised.value.cause == "token-file"


def test_the_tokens_source_is_said_and_not_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijk")
    assert "token from HF_TOKEN" in settings.read().words()
    assert "hf_abc" not in settings.read().words() + repr(settings.read())


def test_secrets_are_scrubbed_from_whatever_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "odd-token")
    said = f"odd-token permit hf_{'a' * 34} http://me:pa/ss@p https://cdn/x?X-Amz-Signature=1&b=2 done"
    wanted = "[secret] [secret] [secret] http://[secret]@p https://cdn/x?[left out] done"
    assert secrets.scrub(said, "permit") == wanted
    assert secrets.scrub("No module named 'hf_transfer'") == "No module named 'hf_transfer'"
    assert "sid=1" not in secrets.scrub("HTTP 302 leads to /login?sid=1")
    assert "\x1b" not in secrets.scrub("\x1b[2J")
    assert secrets.without_password("https://me:pass/word@host/x?sig=1") == "https://host/x"


def test_each_client_is_told_what_to_trust_by_its_own_variables() -> None:
    plain = settings.Settings("https://h", "", "", True, "")
    assert plain.trust == ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    assert dataclasses.replace(plain, uses_requests=False).trust == ("SSL_CERT_FILE", "SSL_CERT_DIR")


def test_a_switch_of_xet_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "yes")
    assert "Xet is switched off by HF_HUB_DISABLE_XET" in settings.read().words()
