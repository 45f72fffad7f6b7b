"""A model without secrets in any of its texts: what somebody else made is drawn only as this returns it."""

import functools
import json
import operator
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from dgxcert.redaction.scrubber import NAMING, VALUE, Scrubber, is_secret_name

Model = TypeVar("Model", bound=BaseModel)


def scrubbed(model: Model, *, anywhere: bool = False) -> Model:
    """The model with `[secret]` in place of each secret; the model itself where it has none.

    With `anywhere` the secrets that only this process knows stay, so that the result is the same on each machine.

    >>> class Result(BaseModel):
    ...     reason: str
    >>> scrubbed(Result(reason="sent HF_TOKEN=x7Qm2kLp"))
    Result(reason='sent HF_TOKEN=[secret]')
    """
    walk = _Walk(anywhere=anywhere)
    redacted: Model = walk.value(model, walk.secrets_in(_as_json(model)))
    return redacted if walk.count else model


def _as_json(model: BaseModel) -> str:
    """The model as JSON, also where a text of it is none in UTF-8, such as the name of a file."""
    try:
        return model.model_dump_json()
    except PydanticSerializationError:
        return json.dumps(model.model_dump(), default=str)


class _Walk(Scrubber):
    """Walks models as it walks objects of JSON, by the names of their fields, and each text once."""

    def value(self, value: Any, secrets: list[str]) -> Any:
        """A value without these secrets and what its place or format tells to be one."""
        self._clean: set[str] = set()
        self._seen: dict[str, tuple[str, int]] = {}
        return self._value(value, secrets)

    def _value(self, value: Any, secrets: list[str], secret: bool = False, depth: int = 0) -> Any:
        """The value itself where it has no secret: a run of 100,000 results is not copied for one of them."""
        if type(value) is str and not secret:
            return self._text(value, secrets)
        if isinstance(value, Enum):
            return value
        if isinstance(value, BaseModel):
            return self._model(value, secrets, secret, depth)
        if isinstance(value, tuple):
            walked = super()._value(value, secrets, secret, depth) if value else ()
            same = len(walked) == len(value) and all(map(operator.is_, walked, value))
            return value if same else tuple(walked)
        return super()._value(value, secrets, secret, depth)

    def _model(self, model: BaseModel, secrets: list[str], secret: bool, depth: int) -> BaseModel:
        fields, naming = _fields(type(model))
        named = any(is_secret_name(getattr(model, name)) for name in naming)
        update = {}
        for name, is_secret in fields:
            before = getattr(model, name)
            if before is None or isinstance(before, float | int):
                continue
            under = secret or is_secret or (named and name == VALUE)
            after = self._value(before, secrets, under, depth + 1)
            if after is not before:
                update[name] = after
        return model.model_copy(update=update) if update else model

    def _text(self, text: str, secrets: list[str]) -> str:
        """The text; most texts of a run come many times, as limits and sources do."""
        if text in self._clean:
            return text
        if text not in self._seen:
            before = self.count
            redacted = super()._text(text, secrets)
            if self.count == before:
                self._clean.add(text)
                return text
            self._seen[text] = redacted, self.count - before
        else:
            self.count += self._seen[text][1]
        return self._seen[text][0]


@functools.cache
def _fields(kind: type[BaseModel]) -> tuple[tuple[tuple[str, bool], ...], tuple[str, ...]]:
    """The fields of a model, each with whether its name says that it is secret, and those that name its value."""
    fields = tuple((name, is_secret_name(name)) for name in kind.model_fields)
    naming = tuple(name for name in NAMING if name in kind.model_fields) if VALUE in kind.model_fields else ()
    return fields, naming
