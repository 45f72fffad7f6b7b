"""A model is redacted in each of its texts, and stays the model that it was where it has no secret."""

from enum import StrEnum

import pytest
from pydantic import BaseModel

from dgxcert.redaction import models

SECRET = "x7Qm2kLp"


class Colour(StrEnum):
    RED = "red"


class Part(BaseModel):
    name: str
    value: str | int


class Whole(BaseModel):
    colour: Colour = Colour.RED
    parts: tuple[Part, ...] = ()
    by_name: dict[str, str] = {}


def test_each_text_is_redacted_and_types_stay() -> None:
    whole = Whole(parts=(Part(name="HF_TOKEN", value="short"), Part(name="rows", value=5)), by_name={"password": "a b"})
    redacted = models.scrubbed(whole)
    assert redacted == Whole(
        parts=(Part(name="HF_TOKEN", value="[secret]"), Part(name="rows", value=5)), by_name={"password": "[secret]"}
    )
    assert isinstance(redacted.colour, Colour)
    assert isinstance(redacted.parts, tuple)


def test_a_model_without_secrets_is_returned_itself() -> None:
    whole = Whole(parts=(Part(name="rows", value="sha256:" + "9f86d081" * 8),))
    assert models.scrubbed(whole) is whole


def test_what_only_this_process_knows_stays_where_the_result_is_the_same_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    whole = Whole(by_name={"reason": f"no access with {SECRET}", "url": "https://ada:9fWq3@hub.example"})
    assert models.scrubbed(whole).by_name["reason"] == "no access with [secret]"
    anywhere = models.scrubbed(whole, anywhere=True).by_name
    assert anywhere == {"reason": f"no access with {SECRET}", "url": "https://[secret]@hub.example"}


def test_only_what_has_a_secret_is_copied() -> None:
    secret, clean = Whole(by_name={"password": "a b"}), Part(name="rows", value=5)
    redacted = models.scrubbed(Whole(parts=(Part(name="at", value="HF_TOKEN=x7Qm2kLp"), clean)))
    assert redacted.parts[0].value == "HF_TOKEN=[secret]"
    assert redacted.parts[1] is clean
    assert models.scrubbed(secret).parts is secret.parts


def test_a_text_that_is_none_in_utf_8_is_redacted_too() -> None:
    redacted = models.scrubbed(Part(name="file-\udcff.log", value="HF_TOKEN=x7Qm2kLp"))
    assert (redacted.name, redacted.value) == ("file-\udcff.log", "HF_TOKEN=[secret]")
