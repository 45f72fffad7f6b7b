"""A statement has one meaning: what two readers could understand differently is refused in a sentence of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from dgxcert.certificate import statement_text
from dgxcert.certificate.refusal import Refused


def problem(content: bytes) -> str:
    with pytest.raises(Refused) as raised:
        statement_text.parse(content)
    return raised.value.problem


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is not JSON"),
        (b"\xff", "it is not text in UTF-8"),
        (b"\xef\xbb\xbf{}", "it is not JSON"),
        (b"[]", "which is a JSON object"),
        (b"[" * 100_000, "nested more than 16 deep"),
        (b'{"a":' * 30 + b"1" + b"}" * 30, "nested more than 16 deep"),
        (b'{"a": 1, "\\u0061": 1}', 'it gives "a" twice'),
        (b'{"a": NaN}', "it has NaN in place of a number"),
        (b'{"a": 1e400}', "its a is no number: inf"),
        (b'{"a": ' + b"1" * 5000 + b"}", "it has a number of 5000 digits"),
        (b'{"a": "' + b"x" * 300 + b'"}', "its a has 300 characters, and at most 255"),
        (b'{"a": "\\u001b[2J"}', "its a has a control character (U+001B)"),
        (b'{"a": "\\u202e"}', "its a has an invisible character (U+202E)"),
        (b'{"a": "\\ud800"}', "its a has half of a character (U+D800)"),
        (b'{"\\u200b": 1}', "its (key) has an invisible character"),
        (b'{"_type": "https://in-toto.io/Statement/v2"}', "its _type is 'https://in-toto.io/Statement/v2'"),
        (b"{}", "its _type is None"),
    ],
)
def test_each_is_refused_with_its_own_sentence(content: bytes, words: str) -> None:
    assert words in problem(content)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("issued",), "2026-11-26T12:00:00", "without a time zone"),
        (("issued",), "2026-11-26T12:00:00+14:00", "not a date and time in UTC"),
        (("issued",), 1_795_459_212, "not a date and time in UTC"),
        (("issued",), "2026-02-30T12:00:00Z", "which no calendar has"),
        (("measured",), "2024-11-26T12:00:00Z", "and dgxcert exists since 2026-11-23"),
        (("expires",), "9999-12-31T23:59:59Z", "dates are read up to 2200"),
        (("format",), 2, "its format of dgxcert is 2, and this dgxcert reads 1"),
        (("format",), True, "its format of dgxcert is True"),
        (("approved",), True, "predicate.dgxcert.approved"),
        (("machine", "hostname"), 7, "predicate.dgxcert.machine.hostname"),
    ],
)
def test_a_field_of_a_real_statement_is_refused_by_name(
    signed: Path, place: tuple[str, ...], value: object, words: str
) -> None:
    document: dict[str, Any] = json.loads(signed.read_text(encoding="utf-8"))
    inner = document["predicate"]["dgxcert"]
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    assert words in problem(json.dumps(document).encode())


def test_a_statement_of_sign_is_read_as_it_was_written(signed: Path) -> None:
    assert statement_text.parse(signed.read_bytes()).text() == signed.read_text(encoding="utf-8")
