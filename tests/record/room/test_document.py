"""room.json: read again as it was written, refused where it is no room, and as its schema says."""

import json
from pathlib import Path

import jsonschema
import pytest
from paths import ROOT
from suites import rooms

from dgxcert.outcome import CannotStart, Outcome
from dgxcert.record.room import document
from dgxcert.record.room.document import NAME
from dgxcert.report.room import write_all

PASSED, FAILED, INCONCLUSIVE, NOT_APPLICABLE = (
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.INCONCLUSIVE,
    Outcome.NOT_APPLICABLE,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_all(rooms.room(3, pairs=(rooms.pair("spark-01", "spark-02", PASSED, PASSED, PASSED),)), tmp_path)
    return tmp_path


def test_a_document_fits_the_schema_that_is_published(folder: Path) -> None:
    schema = json.loads((ROOT / "docs" / "room.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads((folder / NAME).read_text(encoding="utf-8")), schema)
    assert schema["properties"]["hosts"]["description"] == "In the order of the inventory."


def test_it_is_read_as_it_was_written(folder: Path) -> None:
    assert [host.name for host in document.load(folder).hosts[:2]] == ["spark-01", "spark-02"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "name": "\\u001b[2J"}'])
def test_what_is_no_room_is_refused_with_the_way_on(text: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text, encoding="utf-8")
    with pytest.raises(CannotStart, match=r"is no document of a room.*dgxcert room merge"):
        document.load(tmp_path)


def test_a_folder_without_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"room.json cannot be read: No such file"):
        document.load(tmp_path)


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [
        ((PASSED, PASSED, PASSED), PASSED),
        ((PASSED, PASSED, NOT_APPLICABLE), PASSED),
        ((PASSED, INCONCLUSIVE, FAILED), FAILED),
        ((PASSED, INCONCLUSIVE, PASSED), INCONCLUSIVE),
        ((NOT_APPLICABLE, NOT_APPLICABLE, NOT_APPLICABLE), NOT_APPLICABLE),
        ((), INCONCLUSIVE),
    ],
)
def test_a_pair_passes_only_where_all_that_applies_passed(outcomes: tuple[Outcome, ...], outcome: Outcome) -> None:
    assert rooms.pair("a", "b", *outcomes).outcome is outcome
