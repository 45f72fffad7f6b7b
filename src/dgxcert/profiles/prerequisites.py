"""Prerequisites: the rows of course module 2.5's checklist, and which requirements prove each of them."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from dgxcert.files import yaml_document

PATH = Path(__file__).parent / "data" / "prerequisites.yaml"
MODULE = "course module 2.5"


class Row(BaseModel):
    """One prerequisite: what the module names, what can be proved of it here, and what only the student can answer.

    >>> load()[0].proved_by
    ('COURSE-CONTAINER',)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sentence: str
    """What the module names."""
    proof: str
    """What its requirements prove of this environment."""
    question: str = ""
    """The module's question to the student; empty where the environment is all that is asked for."""
    proved_by: tuple[str, ...] = Field(min_length=1)
    """Requirements by id, or by key where only one of several is meant."""
    review: str
    snippet: str


def load() -> tuple[Row, ...]:
    """The rows in the order of the module. Raises pydantic's ValidationError where the file is not as it ships."""
    content = yaml_document.load(PATH, "").content
    return TypeAdapter(tuple[Row, ...]).validate_python(content)


def names(rows: tuple[Row, ...]) -> tuple[str, ...]:
    """Every requirement that proves one of the rows, each once.

    >>> row = Row(sentence="pad", proof="it pads", proved_by=["COURSE-PADDING"], review="Lesson: pads", snippet="")
    >>> names((row, row))
    ('COURSE-PADDING',)
    """
    return tuple(dict.fromkeys(name for row in rows for name in row.proved_by))
