"""A document: the base of all that `--json` prints, and how it is printed."""

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict

from dgxcert.cli import screen
from dgxcert.files import untrusted
from dgxcert.redaction import scrubber


class Part(BaseModel):
    """A part of a document; the text below a field is its description in the schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)


class Document(Part):
    """A whole document."""

    format: Literal[1] = 1


def text(document: BaseModel) -> str:
    r"""A document as JSON in ASCII, without secrets: whatever it quotes, no character of it steers a terminal.

    >>> class Found(Document):
    ...     said: str
    >>> print(text(Found(said="sent HF_TOKEN=x7Qm2kLp to \u202e漢")))
    {
     "format": 1,
     "said": "sent HF_TOKEN=[secret] to \u202e\u6f22"
    }
    """
    dumped = json.dumps(document.model_dump(mode="json", by_alias=True), allow_nan=False)
    return json.dumps(untrusted.parse_json(scrubber.json_text(dumped)), indent=1, allow_nan=False)


def say(document: BaseModel) -> None:
    """Print a document, and nothing else, on standard output."""
    screen.say_redacted(text(document))
