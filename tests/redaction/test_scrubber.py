"""Text, JSON and lines of JSON lose their secrets and nothing else."""

import json

import pytest

from dgxcert.redaction import scrubber
from dgxcert.redaction.scrubber import Scrubber

SECRET = "Xq7PlantedSecret99zz"


@pytest.mark.parametrize(
    "value",
    [
        {"env": {"HF_TOKEN": SECRET}},
        {"token": [SECRET]},
        {"token": {"v": SECRET}},
        {"headers": [["Authorization", f"Bearer {SECRET}"]]},
        {"name": "HF_TOKEN", "value": SECRET},
        {"authorization": SECRET},
        {"HF_TOKEN ": SECRET},
        {"auths": {"nvcr.io": {"auth": SECRET}}},
        {f"HF_TOKEN={SECRET}": 1},
    ],
)
def test_a_member_is_secret_by_its_name(value: object) -> None:
    redacted = Scrubber().json(json.dumps(value))
    assert SECRET not in redacted
    assert json.loads(redacted)


def test_json_without_secrets_stays_byte_for_byte() -> None:
    text = '{"b":1.50,  "a": ["\\u00e9", 1e3, "token/s"]}\n'
    assert Scrubber().json(text) == text


def test_each_line_of_json_is_redacted_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    first, second, third = '{"a":1}\n', f'{{"a":"{SECRET}"}}\n', f'{{"torn":"{SECRET[:20]}\n'
    assert Scrubber().json(first + second + third) == '{"a":1}\n{"a":"[secret]"}\n{"torn":"[secret]\n'


def test_a_secret_as_part_of_an_error_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:pa%2Fs55-w0rd@proxy.example:3128")
    assert scrubber.text("OSError: pa/s55-w0rd and pa%2fs55-w0rd") == "OSError: [secret] and [secret]"


def test_json_of_any_depth_is_redacted() -> None:
    assert SECRET not in Scrubber(frozenset({SECRET})).json("[" * 5000 + f'"{SECRET}"' + "]" * 5000)


def test_kinds_never_name_the_secret() -> None:
    (kind,) = scrubber.kinds(f"a {SECRET} b", [SECRET])
    assert kind == "a secret of this machine or its user"
