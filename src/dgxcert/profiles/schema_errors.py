"""Schema errors: what is wrong with a profile's keys, in one line for the person who wrote it."""

from typing import Any

from pydantic import BaseModel, ValidationError

from dgxcert import near_miss
from dgxcert.files.yaml_document import shown

SHOWN = 3
"""Problems that one message names: the first ones are the cause of many others."""


def summary(problems: list[str]) -> str:
    """The first problems on one line.

    >>> summary(["missing key 'machine'", "limits.spread.max: Input should be a valid number"])
    "missing key 'machine'; limits.spread.max: Input should be a valid number."
    """
    said = "; ".join(problems[:SHOWN])
    return said if said.endswith("?") else f"{said}."


def problems(error: ValidationError, model: type[BaseModel], section: tuple[str, ...] = ()) -> list[str]:
    """Each problem by its key: what is wrong with it, and the nearest right word for an unknown one.

    `section` is where in the file `model` was read from, such as `limits.spread`.
    """
    return [_problem(item, model, section) for item in error.errors()]


def _problem(item: Any, model: type[BaseModel], section: tuple[str, ...]) -> str:
    key = ".".join(str(part) for part in (*section, *item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"unknown key {shown(key)}; {near_miss.hint(str(item['loc'][-1]), _known_keys(model, item['loc'][:-1]))}"
    if item["type"] == "missing":
        return f"missing key '{key}'"
    if item["type"] == "model_type":
        return f"{key or 'the file'}: wanted keys and values, found {shown(item['input'])}"
    if item["type"] == "string_type" and isinstance(item["input"], int | float):
        return f"{key}: wanted a text, found {shown(item['input'])}, which needs quotes to be one"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] not in ("value_error", "assertion_error"):
        message = f"{message}, found {shown(item['input'])}"
    return f"{key}: {message}" if key else message


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The keys that a place in the file may have."""
    kind: Any = model
    for part in location:
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            break
        field = kind.model_fields.get(str(part))
        if field is None:
            break
        kind = field.annotation
    for candidate in (kind, *getattr(kind, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return list(candidate.model_fields)
    return list(model.model_fields)
