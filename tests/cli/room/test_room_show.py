"""`dgxcert room show`: by folder, by name, as JSON that fits its schema, and what is said where there is none."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from paths import ROOT
from suites import rooms
from suites.commands import Result

from dgxcert.report.room import write_all

Command = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a merged room in a results folder."""
    place = tmp_path / "results" / "rooms" / "2026-12-01T02-00-00Z-lab"
    place.mkdir(parents=True)
    write_all(rooms.room(3), place)
    (place.parent / "latest").symlink_to(place.name)
    return place


@pytest.mark.parametrize("name", ["results/rooms/2026-12-01T02-00-00Z-lab", "2026-12-01T02-00-00Z-lab", "latest"])
def test_a_room_is_shown_by_its_folder_its_name_or_as_the_latest(dgxcert: Command, folder: Path, name: str) -> None:
    result = dgxcert("room", "show", name)
    assert result.code == 1
    assert result.out.splitlines()[-1].startswith("3 CERTIFIED, 1 REJECTED, ")


def test_json_fits_the_schema_and_comes_alone(dgxcert: Command, folder: Path) -> None:
    result = dgxcert("room", "show", folder, "--json")
    schema = json.loads((ROOT / "docs" / "room.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(result.out), schema)
    assert (result.code, result.err) == (1, "")


def test_a_room_that_is_not_there_is_named_with_where_to_look(dgxcert: Command, tmp_path: Path) -> None:
    result = dgxcert("room", "show", "nowhere")
    assert result.code == 3
    assert "There is no room nowhere. Those that are there: ls results/rooms" in result.err
