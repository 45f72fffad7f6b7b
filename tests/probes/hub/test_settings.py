"""Settings: read as huggingface_hub reads them; an invalid one is named, and no secret is shown."""

import dataclasses
from pathlib import Path

import pytest

from dgxcert.probes.hub import settings, steps, trust_store
from dgxcert.probes.hub.context import Context, ProbedFile
from dgxcert.probes.hub.settings import InvalidSetting

pytestmark = pytest.mark.usefixtures("plain_hub_environment")

PROBED = ProbedFile("tiny", "0" * 40, "model.safetensors", 9)


def test_default_is_the_public_hub_without_a_proxy() -> None:
    default = settings.read()
    assert (default.endpoint, default.token, default.host) == ("https://huggingface.co", "", "huggingface.co")
    assert "directly, trusts the default authorities, no token" in default.summary


@pytest.mark.parametrize("url", ["", "ftp://huggingface.co", "file:///etc/passwd", "huggingface.co", "https://[::1"])
def test_endpoint_that_is_no_web_url_is_invalid(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", url)
    with pytest.raises(InvalidSetting, match="which is no http or https URL") as raised:
        settings.read()
    assert raised.value.cause == "endpoint"


def test_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret%21@proxy:3128")
    assert "through proxy http://proxy:3128" in settings.read().summary
    assert "secret" not in settings.read().summary
    assert settings.credentials("http://me:secret%21@proxy:3128") == "me:secret!"


@pytest.mark.parametrize(
    ("proxy", "cause"),
    [
        ("http://", "proxy-url"),
        ("http://proxy:99999", "proxy-url"),
        ("http://me:pa/55@proxy:3128", "proxy-url"),
        ("socks5h://proxy:1080", "variable"),  # neither stack has the package for it
    ],
)
def test_invalid_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str, cause: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(InvalidSetting) as raised:
        settings.read()
    assert raised.value.cause == cause
    assert "55" not in str(raised.value)


@pytest.mark.parametrize("endpoint", ["me:secret@hub.example", "https://me:se/cret@hub.example", "https://me:secret@h"])
def test_password_of_a_mirror_is_not_shown(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert "cret" not in str(steps.run_step("settings", steps.read_settings, Context(PROBED)))


def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy:3128")
    assert settings.proxy_for("https://huggingface.co") == "http://proxy:3128"
    monkeypatch.setenv("no_proxy", ".huggingface.co,huggingface.co")
    assert settings.proxy_for("https://huggingface.co") == ""


@pytest.mark.parametrize(("client", "proxy"), [("2.4.0", ""), ("0.36.2", "http://proxy:3128")])
def test_every_host_without_a_proxy_is_a_rule_of_httpx(
    monkeypatch: pytest.MonkeyPatch, client: str, proxy: str
) -> None:
    monkeypatch.setattr(settings, "version", lambda name: client)
    monkeypatch.setenv("https_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", " * ")
    assert settings.proxy_for("https://huggingface.co") == proxy


def test_key_log_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    assert settings.read().host == "huggingface.co"
    for path in (tmp_path / "absent" / "keys.log", tmp_path):
        monkeypatch.setenv("SSLKEYLOGFILE", str(path))
        with pytest.raises(InvalidSetting, match="SSLKEYLOGFILE names") as raised:
            settings.read()
        assert (raised.value.cause, raised.value.remedy) == ("variable", ("unset SSLKEYLOGFILE",))


@pytest.mark.parametrize(("name", "client"), [("SSL_CERT_FILE", "2.4.0"), ("REQUESTS_CA_BUNDLE", "0.36.2")])
def test_file_without_certificates_is_invalid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, client: str
) -> None:
    monkeypatch.setattr(settings, "version", lambda distribution: client)
    (tmp_path / "ca.pem").write_text("no certificate\n")
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        monkeypatch.setenv(name, str(path))
        with pytest.raises(InvalidSetting, match=f"{name} names .*, which holds no certificates") as raised:
            settings.read()
        assert raised.value.cause == "certificate-file"


def test_variable_that_the_client_does_not_read_is_not_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.setattr(settings, "version", lambda distribution: "2.4.0")
    assert settings.read().ca_variables == trust_store.HTTPX


def test_line_ends_in_a_token_are_removed_as_the_client_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ab\ncd\r\n")
    assert settings.read().token == "hf_abcd"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert settings.read().token == ""


def test_token_in_curly_quotes_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "\u201chf_abc\u201d")
    with pytest.raises(InvalidSetting, match="curly quote") as raised:
        settings.read()
    assert raised.value.cause == "bad-token"


def test_token_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_text("hf_secret")

    def refuse(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(InvalidSetting, match=r"the token file .*token cannot be read: Permission denied") as raised:
        settings.read()
    assert raised.value.cause == "token-file"


def test_source_of_the_token_is_shown_and_not_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijk")
    assert "token from HF_TOKEN" in settings.read().summary
    assert "hf_abc" not in settings.read().summary + repr(settings.read())


def test_each_client_has_its_own_certificate_variables() -> None:
    old = settings.Settings("https://h", "", "", True, "")
    assert old.ca_variables == ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    assert dataclasses.replace(old, uses_requests=False).ca_variables == ("SSL_CERT_FILE", "SSL_CERT_DIR")


def test_disabled_xet_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "yes")
    assert "Xet is switched off by HF_HUB_DISABLE_XET" in settings.read().summary


def test_only_the_first_offline_variable_that_is_set_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    assert settings.offline_variable() == "TRANSFORMERS_OFFLINE"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert settings.offline_variable() == ""
