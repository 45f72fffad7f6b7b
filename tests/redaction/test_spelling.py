"""A secret is found in whatever spelling it shows; what only resembles it is not."""

import base64
import html
import json
import shlex
import textwrap
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from dgxcert.redaction import spelling

SECRET = "aB3/x+&'\"<é 9Qm2%kLp"

SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "quote": quote,
    "quote, no safe characters": lambda text: quote(text, safe=""),
    "quote_plus": quote_plus,
    "quote, lower case": lambda text: quote(text, safe="").lower(),
    "quoted twice": lambda text: quote(quote(text, safe=""), safe=""),
    "every byte quoted": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "JSON": json.dumps,
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON of PHP": lambda text: json.dumps(text).replace("/", "\\/"),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "HTML": html.escape,
    "HTML, twice": lambda text: html.escape(html.escape(text)),
    "HTML by numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "shell": shlex.quote,
    "shell, with backslashes": lambda text: "".join(char if char.isalnum() else f"\\{char}" for char in text),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper(),
    "hexadecimal, with colons": lambda text: text.encode().hex(":"),
    "hexadecimal, with dashes": lambda text: text.encode().hex("-"),
    "hexadecimal, as of a list": lambda text: ", ".join(f"0x{byte:02x}" for byte in text.encode()),
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "ascii": ascii,
    "an error of pytest": lambda text: f"E   {text[:9]}\nE   {text[9:]}",
    "UTF-16 read as Latin-1": lambda text: text.encode("utf-16le").decode("latin-1"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, urlsafe": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64, second offset": lambda text: base64.b64encode(f"a{text}z".encode()).decode(),
    "base64, third offset": lambda text: base64.b64encode(f"ab{text}zz".encode()).decode(),
    "Basic": lambda text: base64.b64encode(f"ada:{text}".encode()).decode(),
    "base64, wrapped": lambda text: textwrap.fill(base64.b64encode(text.encode()).decode(), 7),
    "wrapped": lambda text: f"{text[:9]}\n    {text[9:]}",
    "wrapped, escaped": lambda text: f"{text[:9]}\\n{text[9:]}",
    "quoted-printable": lambda text: f"{text[:9]}=\n{text[9:]}",
    "coloured": lambda text: f"{text[:9]}\x1b[0m\x1b[1m"[:-4] + text[9:],
    "upper case": str.upper,
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_secret_is_found(name: str) -> None:
    spelled = SPELLINGS[name](SECRET)
    text = f"before {spelled} after"
    assert any(needle in spelling.skeleton(text) for needle in spelling.needles(SECRET))
    assert spelling.pattern(SECRET).search(text)


@pytest.mark.parametrize("after", ["", "x", " ", "\u0301"])
def test_a_secret_with_a_letter_of_two_lower_cases_is_found_wherever_it_stands(after: str) -> None:
    secret = "12bdefΣ"
    assert any(needle in spelling.skeleton(f"a{secret}{after}") for needle in spelling.needles(secret))


@pytest.mark.parametrize("text", ["aB3/x+&'", "9Qm2%kLp", "a B 3", "sha256:9f86d081884c7d659a2feaa0c55ad015"])
def test_a_part_of_it_is_not(text: str) -> None:
    assert not spelling.pattern(SECRET).search(text)


def test_a_hostile_text_takes_no_longer_than_its_length() -> None:
    for text in ("\\" * 200_000, "&amp;" * 40_000, "%25" * 60_000, "&#" * 100_000):
        spelling.skeleton(text)
        spelling.pattern("x7Qm2kLp").search(text)
