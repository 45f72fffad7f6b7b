"""The text of a statement, read strictly: what two readers of JSON could understand differently is refused. Pure."""

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from dgxcert.certificate import bounds
from dgxcert.certificate.refusal import BY_SIGN, Refused
from dgxcert.certificate.statement import PREDICATE_TYPE, STATEMENT_TYPE, Statement

Model = TypeVar("Model", bound=BaseModel)

WITHOUT_ZONE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
ZONES = ("Z", "+00:00")
MOMENTS = ("measured", "issued", "expires")
LONG = {"says", "reason", "who", "requirement", "machine"}
"""Fields that may be longer than a name: a sentence, and those of a waiver."""
ESCAPED = {"Cc": "a control character", "Cf": "an invisible character", "Cs": "half of a character", "Zl": "", "Zp": ""}
"""Categories of Unicode with which a text shows as something else than it is."""


def parse(content: bytes) -> Statement:
    """The statement about a run in the bytes of a signed file. Raises Refused as `parse_as` does.

    >>> parse(b'{"_type": "https://in-toto.io/Statement/v1", "_type": "https://in-toto.io/Statement/v1"}')
    Traceback (most recent call last):
    dgxcert.certificate.refusal.Refused: it gives "_type" twice. Ask for a signature by `dgxcert sign`.
    """
    return parse_as(Statement, content)


def parse_as(model: type[Model], content: bytes) -> Model:
    """The statement of one kind in the bytes of a signed file.

    Raises Refused, each with its own sentence, for what is not UTF-8 or not JSON, a key that is given twice, a number
    that is none, text that is too long or shows as another, a date without zone, another version of the format, and
    fields that are missing or unknown.
    """
    document = _document(content)
    if not isinstance(document, dict):
        raise Refused("it is not a statement, which is a JSON object", BY_SIGN)
    for place, value in _leaves(document, ""):
        _require_fit(place, value)
    _require_version(document)
    try:
        # From the document that was just checked: another reading of the bytes may be another reading of its meaning.
        return model.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refused(
            f"it is not a statement that this dgxcert reads: {place}: {first['msg']}", "Use the dgxcert that signed it."
        ) from error


def _document(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number, parse_int=_whole)
    except UnicodeDecodeError as error:
        raise Refused("it is not text in UTF-8", BY_SIGN) from error
    except RecursionError as error:
        raise _too_deep() from error
    except json.JSONDecodeError as error:
        raise Refused(f"it is not JSON: {error.msg} in line {error.lineno}", BY_SIGN) from error


def _too_deep() -> Refused:
    return Refused(f"it is nested more than {bounds.DEPTH} deep, as no statement is", BY_SIGN)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: readers of JSON take the first, the last, or fail."""
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Refused(f'it gives "{twice[: bounds.NAME_CHARS]}" twice', BY_SIGN)
    return made


def _no_number(name: str) -> NoReturn:
    raise Refused(f"it has {name} in place of a number", BY_SIGN)


def _whole(digits: str) -> int:
    if len(digits) > bounds.DIGITS:
        raise Refused(f"it has a number of {len(digits)} digits, and at most {bounds.DIGITS} are read", BY_SIGN)
    return int(digits)


def _leaves(value: Any, place: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every text and number with its place, keys included: `predicate.dgxcert.run`."""
    if depth > bounds.DEPTH:
        raise _too_deep()
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{place}.(key)" if place else "(key)", key
            yield from _leaves(inner, f"{place}.{key}" if place else key, depth + 1)
    elif isinstance(value, list):
        if len(value) > bounds.FILES:
            raise Refused(f"its {_shown(place)} has {len(value)} entries, and at most {bounds.FILES} are read", BY_SIGN)
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{place}.{number}", depth + 1)
    else:
        yield place, value


def _require_fit(place: str, value: Any) -> None:
    """Raise Refused for a text that is too long or shows as another, a date that is none, and an infinite number."""
    name = place.rpartition(".")[2]
    if isinstance(value, float) and not abs(value) < 10.0**bounds.DIGITS:
        raise Refused(f"its {_shown(place)} is no number: {value}", BY_SIGN)
    if name in MOMENTS and place == f"predicate.dgxcert.{name}":
        _require_moment(name, value)
    if not isinstance(value, str):
        return
    longest = bounds.TEXT_CHARS if name in LONG else bounds.NAME_CHARS
    if len(value) > longest:
        raise Refused(f"its {_shown(place)} has {len(value)} characters, and at most {longest} are read", BY_SIGN)
    if misleading := misleading_character(value):
        raise Refused(f"its {_shown(place)} has {misleading}, so that it shows as another text", BY_SIGN)


def misleading_character(text: str) -> str:
    r"""The first character of a text that makes it show as another, in words; "" where there is none.

    >>> misleading_character("spark-07"), misleading_character("report\u202elmth.txt")
    ('', 'an invisible character (U+202E)')
    """
    for char in text:
        if (category := unicodedata.category(char)) in ESCAPED:
            return f"{ESCAPED[category] or 'a separator of lines'} (U+{ord(char):04X})"
    return ""


def _require_moment(name: str, value: Any) -> None:
    """Raise Refused for what is not a date and time in UTC within the years that are read."""
    text = value[: bounds.NAME_CHARS] if isinstance(value, str) else str(value)[: bounds.NAME_CHARS]
    if isinstance(value, str) and WITHOUT_ZONE.fullmatch(value):
        raise Refused(f'its date {name} is "{text}", without a time zone: which moment that is, nothing says', BY_SIGN)
    zone = next((zone for zone in ZONES if text.endswith(zone)), "")
    if not isinstance(value, str) or not zone or WITHOUT_ZONE.fullmatch(value.removesuffix(zone)) is None:
        raise Refused(
            f'its date {name} is "{text}", which is not a date and time in UTC, such as 2026-11-23T18:40:12Z', BY_SIGN
        )
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise Refused(f'its date {name} is "{value}", which no calendar has', BY_SIGN) from error
    if not bounds.SUITE_BEGAN <= moment < datetime(bounds.LAST_YEAR, 1, 1, tzinfo=UTC):
        raise Refused(
            f"its date {name} is {moment:%Y-%m-%d}, and dgxcert exists since {bounds.SUITE_BEGAN:%Y-%m-%d} "
            f"(dates are read up to {bounds.LAST_YEAR})",
            BY_SIGN,
        )


def _require_version(document: dict[str, Any]) -> None:
    """Raise Refused for a statement of another kind or version, before its fields are looked at."""
    for key, wanted in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if document.get(key) != wanted:
            raise Refused(f"its {key} is {document.get(key)!r:.200}, not {wanted!r}", "Use the dgxcert that signed it.")
    predicate = document.get("predicate")
    extension = predicate.get("dgxcert") if isinstance(predicate, dict) else None
    version = extension.get("format") if isinstance(extension, dict) else None
    if type(version) is not int or version != 1:
        raise Refused(
            f"its format of dgxcert is {version!r:.60}, and this dgxcert reads 1", "Use the dgxcert that signed it."
        )


def _shown(place: str) -> str:
    return place[: bounds.NAME_CHARS]
