"""Tokens, user names and home paths are redacted however they are written; a tokenizer's tokens are not."""

import json

import pytest

from dgxcert.certificate.redaction import Redaction


def test_a_name_after_an_escaped_line_end_is_redacted() -> None:
    redacted = Redaction(users=frozenset({"ada"})).lines_of_json(json.dumps({"log": "x\nada", "ada": [1, "adapter"]}))
    assert json.loads(redacted) == {"log": "x\n[user]", "[user]": [1, "adapter"]}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ('password="hunter22x"', 'password="[secret]"'),
        ("HF_TOKEN='a secret of words'", "HF_TOKEN='[secret]'"),
        ("AWS_SECRET_ACCESS_KEY=abcd/efgh+ijk, x", "AWS_SECRET_ACCESS_KEY=[secret], x"),
        ('{"api_key": "zzzzzzzz"', '{"api_key": "[secret]"'),
        ("--token abcdefgh1234 --x", "--token [secret] --x"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [secret]"),
        ("https://me:pw@host/x", "https://[secret]@host/x"),
        (r"C:\Users\bob\x", r"C:\Users\[user]\x"),
        ("passphrase: Unlikely-1", "passphrase: [secret]"),
    ],
)
def test_a_value_with_a_secret_name_is_redacted_however_it_is_written(text: str, redacted: str) -> None:
    assert Redaction().text(text) == redacted


@pytest.mark.parametrize(
    "text",
    ["eos_token='</s>'", "bos_token: <|begin_of_text|>", "pad_token_id=50256", "tokens: 1234567", "14 token/s: ok"],
)
def test_a_tokenizers_tokens_are_not_secrets(text: str) -> None:
    assert Redaction().text(text) == text


def test_a_secret_in_json_is_known_by_its_name() -> None:
    redacted = json.loads(Redaction().lines_of_json('{"hub_token": "x", "a": [{"password": "y"}], "token_count": 5}'))
    assert redacted == {"hub_token": "[secret]", "a": [{"password": "[secret]"}], "token_count": 5}
