"""Secrets: tokens, passwords and signatures are scrubbed from every text."""

import pytest

from dgxcert.probes.hub import secrets

pytestmark = pytest.mark.usefixtures("plain_hub_environment")


def test_secrets_are_scrubbed_from_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "odd-token")
    text = f"odd-token read-token hf_{'a' * 34} http://me:pa/ss@p https://cdn/x?X-Amz-Signature=1&b=2 done"
    scrubbed = "[secret] [secret] [secret] http://[secret]@p https://cdn/x?[removed] done"
    assert secrets.scrub(text, "read-token") == scrubbed


@pytest.mark.parametrize("text", ["No module named 'hf_transfer'", "huggingface.co is 18.164.174.17"])
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert secrets.scrub(text) == text


@pytest.mark.parametrize(("text", "secret"), [("HTTP 302 redirects to /login?sid=1", "sid=1"), ("\x1b[2J", "\x1b")])
def test_queries_and_control_characters_are_removed(text: str, secret: str) -> None:
    assert secret not in secrets.scrub(text)


def test_url_without_password() -> None:
    assert secrets.without_password("https://me:pass/word@host/x?sig=1") == "https://host/x"
