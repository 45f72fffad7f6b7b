"""Known faults: what publicly goes wrong on these machines, how it shows, what to do, and which requirement catches it.

`docs/faults.yaml` holds them; a wheel carries that file beside the checks.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from dgxcert import near_miss
from dgxcert.files import untrusted, yaml_document
from dgxcert.outcome import CannotStart
from dgxcert.profiles.workload_sizes import Part

FILE = Path("docs", "faults.yaml")
"""In the folder of the suite."""
LOOK_ALIKES = "H"
"""The group of what looks like a fault and is none."""

CONFIDENCE = {
    "vendor-confirmed": ("vendor-confirmed", "confirmed by the vendor or the project whose software it is"),
    "several": ("several reports", "two or more independent ones"),
    "single": ("a single report", "one machine, one user"),
    "knowledge-base": ("knowledge base", "a community's collected notes, not traced to their source"),
}
"""Value in the data: its words on the page, and its meaning."""

Confidence = Literal["vendor-confirmed", "several", "single", "knowledge-base"]


class Step(Part):
    """One step of a remedy; `own` if no source gives it."""

    text: str = Field(min_length=1)
    own: bool = False


def _step(value: Any) -> Any:
    """`Do this`, or `own: Do this`."""
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, dict) and list(value) == ["own"]:
        return {"text": value["own"], "own": True}
    raise ValueError(f"a step is a sentence, or `own:` with a sentence; found {value!r}")


class Fault(Part):
    """One known fault: symptom, signature, remedy, sources, and what catches it."""

    symptom: str = Field(min_length=1)
    signature: str = Field(min_length=1)
    versions: str = Field(min_length=1)
    remedy: tuple[Annotated[Step, BeforeValidator(_step)], ...]
    sources: tuple[str, ...] = Field(min_length=1)
    confidence: Confidence
    caught_by: tuple[str, ...] = ()
    only_if: str = ""
    not_checked: str = ""
    must_not_fire: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_fate(self) -> "Fault":
        if sum(map(bool, (self.caught_by, self.not_checked, self.must_not_fire))) != 1:
            raise ValueError("give exactly one of `caught_by`, `not_checked` and `must_not_fire`")
        if self.only_if and not self.caught_by:
            raise ValueError("`only_if` belongs to `caught_by`")
        return self

    @property
    def requirements(self) -> tuple[str, ...]:
        """Every requirement that the entry names."""
        return self.caught_by + self.must_not_fire


class Group(Part):
    """Faults of one kind."""

    title: str
    faults: dict[str, Fault]


class Catalogue(Part):
    """The whole file, checked: groups by letter, faults by id."""

    groups: dict[str, Group]

    @model_validator(mode="after")
    def _ids(self) -> "Catalogue":
        for letter, group in self.groups.items():
            for name, fault in group.faults.items():
                if not re.fullmatch(rf"{letter}[1-9]\d*", name):
                    raise ValueError(f"{name}: an id of group {letter} is {letter} and a number")
                if letter == LOOK_ALIKES and fault.caught_by:
                    raise ValueError(f"{name}: what is healthy is not caught; name `must_not_fire`")
        return self

    @property
    def faults(self) -> dict[str, Fault]:
        """Every fault by its id, in the file's order."""
        return {name: fault for group in self.groups.values() for name, fault in group.faults.items()}


def load(suite: Path) -> Catalogue:
    """Read the catalogue of a suite; raises ValueError naming file, entry, key and nearest right word."""
    return parse(untrusted.read_text(suite / FILE, yaml_document.MOST_BYTES), FILE.name)


def noticed_by(requirement: str, catalogue: Catalogue) -> dict[str, Fault]:
    """The faults that a requirement catches, by their ids.

    >>> fault = {"symptom": "slow", "signature": "half", "versions": "all", "remedy": (), "sources": ["a log"]}
    >>> known = Catalogue(groups={"A": {"title": "GPU", "faults": {"A1": {
    ...     **fault, "confidence": "single", "caught_by": ["MATMUL-SPEED"]}}}})
    >>> list(noticed_by("MATMUL-SPEED", known)), list(noticed_by("GPU-XID", known))
    (['A1'], [])
    """
    return {name: fault for name, fault in catalogue.faults.items() if requirement in fault.caught_by}


def parse(text: str, name: str) -> Catalogue:
    """Check the text of a catalogue; `name` stands for it in errors. Raises ValueError.

    >>> text = '''
    ... A:
    ...   title: GPU and driver
    ...   faults:
    ...     A1:
    ...       symptom: It is slow
    ...       signature: half of it
    ...       versions: all
    ...       remedy: [Look]
    ...       sources: [a log]
    ...       confidence: single
    ...       caught_by: [MATMUL-SPEED]
    ... '''
    >>> parse(text, "faults.yaml").faults["A1"].requirements
    ('MATMUL-SPEED',)
    """
    try:
        content = yaml_document.parse(text, name).content
    except CannotStart as error:
        raise ValueError(str(error)) from error
    try:
        return Catalogue.model_validate({"groups": content})
    except ValidationError as error:
        raise ValueError(f"{name}: {'; '.join(_problem(item) for item in error.errors()[:3])}") from error


def _problem(item: Mapping[str, Any]) -> str:
    """`A1: unknown key 'sympton'; did you mean 'symptom'?`"""
    place = [str(part) for part in item["loc"][1:]]
    inside = len(place) > 2 and place[1] == "faults"
    entry, *key = place[2:] if inside else place or [""]
    at = f"{entry}: " if entry else ""
    if item["type"] == "extra_forbidden":
        known: type[BaseModel] = Fault if inside else Group
        return f"{at}unknown key {key[-1]!r}; {near_miss.hint(key[-1], known.model_fields)}"
    if item["type"] == "missing":
        return f"{at}missing key {key[-1]!r}"
    where = f"{'.'.join(key)}: " if key else ""
    return f"{at}{where}{item['msg'].removeprefix('Value error, ')}"
