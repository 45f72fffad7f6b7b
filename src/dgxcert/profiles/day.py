"""A day, as a person writes it: YYYY-MM-DD, and one that the calendar has."""

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator

WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _parse(value: Any) -> Any:
    """The date of a text; a moment, a number of seconds since 1970, or 31 June are none.

    >>> _parse("2027-01-31")
    datetime.date(2027, 1, 31)
    """
    if type(value) is date:  # a datetime is a date too
        return value
    if isinstance(value, str) and WRITTEN.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"wanted a day, found {value}: {error}") from error
    raise ValueError(f"wanted a day as YYYY-MM-DD, found {str(value)[:40]!r}")


Day = Annotated[date, BeforeValidator(_parse)]
"""A day of the calendar."""
