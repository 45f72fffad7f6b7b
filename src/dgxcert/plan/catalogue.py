"""The catalogue: every requirement of the suite, read from the collected tests. Nothing registers a check."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dgxcert.judgement.requirement import Requirement

if TYPE_CHECKING:
    import pytest


class Entry(Requirement):
    """A requirement for one set of parameters, `DECODE-SPEED[int4]`, and the test that measures it."""

    key: str
    """Its id, with the test's parameters if it has any."""
    group: str
    """The folder that its test is in."""
    nodeid: str
    """The test, as pytest names it."""


def declared(function: object) -> Requirement | None:
    """The requirement that a test function carries, or None."""
    requirement = getattr(function, "dgxcert_requirement", None)
    return requirement if isinstance(requirement, Requirement) else None


def declared_by(item: "pytest.Item") -> Requirement:
    """The requirement that a collected test carries. Raises ValueError where it carries none."""
    requirement = declared(getattr(item, "function", None))
    if requirement is None:
        raise ValueError(f"{item.nodeid} carries no @requirement")
    return requirement


def entries(items: "list[pytest.Item]") -> list[Entry]:
    """One entry per collected requirement, in collection order. Raises ValueError where two tests share an id."""
    catalogue = [_entry(item) for item in items]
    tests: dict[str, str] = {}
    for entry in catalogue:
        test = entry.nodeid.partition("[")[0]
        if tests.setdefault(entry.id, test) != test:
            raise ValueError(f"requirement id {entry.id} is used by {tests[entry.id]} and by {test}: give one its own")
    return catalogue


def _entry(item: "pytest.Item") -> Entry:
    requirement = declared_by(item)
    variant = getattr(getattr(item, "callspec", None), "id", None)
    key = f"{requirement.id}[{variant}]" if variant else requirement.id
    return Entry(key=key, group=item.path.parent.name, nodeid=item.nodeid, **requirement.model_dump())


def write(catalogue: list[Entry], path: Path) -> None:
    """Write the catalogue as JSON."""
    path.write_text(json.dumps([entry.model_dump(mode="json") for entry in catalogue]), encoding="utf-8")


def read(path: Path) -> list[Entry]:
    """Read a catalogue that `write` wrote."""
    return [Entry.model_validate(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
