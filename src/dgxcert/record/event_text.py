"""The text of an event: JSON that can be encoded, and that is still the event once secrets are removed from it."""

import functools
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from dgxcert.files import untrusted
from dgxcert.redaction.scrubber import Scrubber

NAME = re.compile(r"[a-z_]+(?:\.[a-z0-9_]+)*")
"""Of a limit, a size or a member; never one that looks generated."""


def said(event: BaseModel) -> str:
    r"""An event as JSON, whatever its texts hold: parts of a name that is no UTF-8 are shown as escapes.

    >>> from pydantic import RootModel
    >>> said(RootModel[str]("caf\udce9"))
    '"caf\\\\udce9"'
    """
    try:
        return event.model_dump_json()
    except PydanticSerializationError:
        return type(event).model_validate(_in_utf8(event.model_dump())).model_dump_json()


def redacted(event: BaseModel) -> str:
    """An event as JSON without secrets.

    Where a password is one of the words that such an event is made of, like "evidence", it stays: a redaction would
    keep no secret, and lose the event.
    """
    text = said(event)
    clean = Scrubber().json(text)
    if clean == text or _is(type(event), clean):
        return clean
    keys = frozenset(name for name in _keys(untrusted.parse_json(text)) if NAME.fullmatch(name))
    return Scrubber(public=_words(type(event)) | keys).json(text)


def _keys(value: Any) -> Iterator[str]:
    """The names of all members of a tree of values."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _keys(item)


def _is(kind: type[BaseModel], text: str) -> bool:
    try:
        kind.model_validate_json(text)
    except ValidationError:
        return False
    return True


@functools.cache
def _words(kind: type[BaseModel]) -> frozenset[str]:
    """The names of all members of such an event, and the texts of which one has to stand where it stands."""
    return frozenset(_of_schema(kind.model_json_schema()))


def _of_schema(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from _of_schema(item)
    if not isinstance(schema, dict):
        return
    choices = [schema.get("const"), *schema.get("enum", ())]
    yield from (word for word in choices if isinstance(word, str))
    for name, item in schema.items():
        if name == "properties":
            yield from item
        yield from _of_schema(list(item.values()) if name in {"properties", "$defs"} else item)


def _in_utf8(value: Any) -> Any:
    """A tree of values in which every text can be encoded."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_in_utf8(name): _in_utf8(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_utf8(item) for item in value]
    return value
