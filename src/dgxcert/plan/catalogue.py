"""The catalogue: every requirement of the suite, read from the collected tests. Nothing registers a check."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dgxcert.judgement.requirement import OWN, OWN_ID, Requirement, Stage

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

    @property
    def own(self) -> bool:
        """Whether it is a lab's own: it can reject a machine, and certifies nothing."""
        return self.group == OWN


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


def entries(items: "list[pytest.Item]", *, own: bool = False) -> list[Entry]:
    """One entry per collected requirement, in collection order; `own` says that they are a lab's own.

    Raises ValueError where two tests share an id, and where what a lab's own check declares is the suite's to declare.
    """
    catalogue = [_own_entry(item) if own else _entry(item) for item in items]
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


def _own_entry(item: "pytest.Item") -> Entry:
    """The entry of a lab's own check. Raises ValueError, with file and line, for what only the suite may."""
    entry = _entry(item)
    path, line, _ = item.location
    where = f"{path}:{(line or 0) + 1}: requirement {entry.id}"
    if not entry.id.startswith(OWN_ID):
        raise ValueError(f"{where}: the ids of a lab's own checks begin with {OWN_ID}, as in {OWN_ID}{entry.id}")
    if entry.gate:
        raise ValueError(f"{where}: gate=True is for checks of the suite: what fails rejects the machine anyway")
    if entry.stage not in (Stage.HOST, Stage.WORK):
        raise ValueError(f"{where}: stage {entry.stage.value!r} is for checks of the suite: take 'host' or 'work'")
    return entry.model_copy(update={"group": OWN})


def write(catalogue: list[Entry], path: Path) -> None:
    """Write the catalogue as JSON."""
    path.write_text(json.dumps([entry.model_dump(mode="json") for entry in catalogue]), encoding="utf-8")


def read(path: Path) -> list[Entry]:
    """Read a catalogue that `write` wrote."""
    return [Entry.model_validate(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
