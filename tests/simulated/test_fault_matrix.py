"""Each simulated fault is caught by the requirement meant for it, and nothing fires on a healthy machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulated import findings, machine, matrix

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
NAMES = sorted(path.stem for path in machine.MACHINES.glob("*.yaml"))
WELL = {name for name in NAMES if not {"meant_for", "cannot_tell"} & set(machine.load(name).fields)}


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, findings.Row]:
    """Every machine judged once, by the program that `make fault-matrix` runs."""
    kept = tmp_path_factory.mktemp("matrix") / "rows.json"
    program = [sys.executable, matrix.__file__, "--json", str(kept)]
    env = {name: value for name, value in os.environ.items() if name != "SIMULATED_LIBRARY"}
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=False, timeout=900)
    assert kept.exists(), done.stderr[-3000:]
    found = [findings.row_of(row) for row in json.loads(kept.read_text(encoding="utf-8"))]
    assert bool(done.returncode) == bool(findings.wrong(found))
    return {row.machine: row for row in found}


@pytest.mark.parametrize("name", NAMES)
def test_each_machine_is_judged_as_its_description_says(rows: dict[str, findings.Row], name: str) -> None:
    assert findings.wrong([rows[name]]) == []


def test_there_are_healthy_machines_of_every_kind_and_they_raise_nothing(rows: dict[str, findings.Row]) -> None:
    assert {"spark-idle", "spark-desktop", "spark-memory-zero", "h100-idle", "h200-idle", "station-a100"} <= WELL
    assert {name: rows[name].fired for name in WELL} == {name: [] for name in WELL}


def test_every_requirement_of_the_matrix_has_a_machine_that_it_is_meant_for(rows: dict[str, findings.Row]) -> None:
    meant = {name for row in rows.values() for name in row.expected}
    assert meant == set(matrix.REQUIREMENTS)


def test_a_requirement_that_cannot_be_measured_is_inconclusive_by_name(rows: dict[str, findings.Row]) -> None:
    """A driver that hangs or crashes is neither a pass nor a fail."""
    for name, message in {
        "spark-driver-hangs": "did not answer within",
        "spark-driver-crashes": "by signal 11 (nvmlDeviceGetName)",
        "spark-clock-hangs": "did not answer within 6 s (nvmlDeviceGetClockInfo)",
        "spark-power-crashes": "by signal 11",
    }.items():
        asked = {key: found for key, found in rows[name].findings.items() if key in rows[name].fired}
        assert asked
        assert {found.outcome for found in asked.values()} == {"inconclusive"}, name
        assert any(message in found.reason for found in asked.values()), asked


def test_the_matrix_in_the_catalogue_is_this_one(rows: dict[str, findings.Row]) -> None:
    """Regenerate: make fault-matrix WRITE=docs/faults.md"""
    page = PAGE.read_text(encoding="utf-8")
    assert findings.written(page, list(rows.values())) == page


def test_a_folder_without_machines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no machine"):
        matrix.described(tmp_path, ())
