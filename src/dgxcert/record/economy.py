"""Economy: what keeps a record of 100,000 lines within seconds and 300 MB. It changes nothing that is read."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)
FIELDS_SET = "__pydantic_fields_set__"
_fields: dict[frozenset[str], set[str]] = {}


@contextmanager
def uncollected() -> Iterator[None]:
    """Make many objects without looking for cycles among them, which takes a third of the time; they have none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def share(model: BaseModel) -> None:
    """Let models that were read with the same fields share the set of their names: each of its own has 728 bytes.

    Only for models that are not changed any more.
    """
    own = model.model_fields_set
    object.__setattr__(model, FIELDS_SET, _fields.setdefault(frozenset(own), own))


def shared(model: Model) -> Model:
    """The model, in less memory with all models that are in its tuples."""
    share(model)
    for part in vars(model).values():
        for item in part if isinstance(part, tuple) else ():
            if isinstance(item, BaseModel):
                shared(item)
    return model
