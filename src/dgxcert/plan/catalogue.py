"""The catalogue: every requirement there is, read off the collected tests. Nothing registers a check."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dgxcert.judgement.requirement import Requirement
from dgxcert.plan.selection import Entry

if TYPE_CHECKING:
    import pytest

CAPITALS = {"gpu": "GPU", "gpus": "GPUs", "cuda": "CUDA", "hub": "Hub", "lora": "LoRA", "api": "API"}
"""Words that a test's name cannot write as they are."""


def declared(function: object) -> Requirement | None:
    """What `@requirement` put on a test function, or None."""
    found = getattr(function, "dgxcert_requirement", None)
    return found if isinstance(found, Requirement) else None


def declared_by(item: "pytest.Item") -> Requirement:
    """What `@requirement` put on a collected test; raises ValueError when it carries none."""
    found = declared(getattr(item, "function", None))
    if found is None:
        raise ValueError(f"{item.nodeid} carries no @requirement")
    return found


def entries(items: "list[pytest.Item]") -> list[Entry]:
    """One entry per collected requirement, in collection order; raises ValueError when an id names two tests."""
    made = [_entry(item) for item in items]
    tests: dict[str, str] = {}
    for entry in made:
        test = entry.nodeid.partition("[")[0]
        if tests.setdefault(entry.id, test) != test:
            raise ValueError(f"requirement id {entry.id} is used by {tests[entry.id]} and by {test}: give one its own")
    return made


def _entry(item: "pytest.Item") -> Entry:
    requirement = declared_by(item)
    variant = getattr(getattr(item, "callspec", None), "id", None)
    return Entry(
        key=f"{requirement.id}[{variant}]" if variant else requirement.id,
        id=requirement.id,
        group=item.path.parent.name,
        title=requirement.title or _sentence(item),
        why=requirement.why,
        remedy=requirement.remedy,
        tier=requirement.tier,
        takes_s=requirement.takes_s,
        budget_s=requirement.budget_s,
        nodeid=item.nodeid,
        stage=requirement.stage,
        gate=requirement.gate,
        resumes=requirement.resumes,
        real_weights=requirement.real_weights,
    )


def _sentence(item: "pytest.Item") -> str:
    """The test's name as the sentence that it is."""
    name = getattr(item, "originalname", None) or item.name
    words = [CAPITALS.get(word, word) for word in re.sub(r"^test_", "", name).split("_")]
    words[0] = words[0][:1].upper() + words[0][1:]
    return " ".join(words)


def write(made: list[Entry], path: Path) -> None:
    """Write the catalogue as JSON."""
    path.write_text(json.dumps([entry.model_dump(mode="json") for entry in made]), encoding="utf-8")


def read(path: Path) -> list[Entry]:
    """Read what `write` wrote."""
    return [Entry.model_validate(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
