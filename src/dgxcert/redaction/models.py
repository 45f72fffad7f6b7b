"""A model without secrets in any of its texts: what somebody else made is drawn only as this returns it."""

from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel

from dgxcert.redaction.scrubber import Scrubber

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
    redacted: Model = walk.value(model, walk.secrets_in(model.model_dump_json()))
    return redacted if walk.count else model


class _Walk(Scrubber):
    """Walks models as it walks objects of JSON, by the names of their fields, and each text once."""

    def value(self, value: Any, secrets: list[str]) -> Any:
        """A value without these secrets and what its place or format tells to be one."""
        self._seen: dict[str, tuple[str, int]] = {}
        return self._value(value, secrets)

    def _value(self, value: Any, secrets: list[str], secret: bool = False, depth: int = 0) -> Any:
        if isinstance(value, Enum):
            return value
        if isinstance(value, tuple):
            return tuple(super()._value(value, secrets, secret, depth))
        if not isinstance(value, BaseModel):
            return super()._value(value, secrets, secret, depth)
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        walked = super()._value(fields, secrets, secret, depth)
        return value.model_copy(update=dict(zip(fields, walked.values(), strict=True)))

    def _text(self, text: str, secrets: list[str]) -> str:
        """The text; most texts of a run come many times, as limits and sources do."""
        if text not in self._seen:
            before = self.count
            redacted = super()._text(text, secrets)
            self._seen[text] = redacted, self.count - before
        else:
            self.count += self._seen[text][1]
        return self._seen[text][0]
