"""The first cell is run in a real process: imports that fail are named, those that crash or hang are told apart."""

import pytest

from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import first_cell
from dgxcert.probes.stack.first_cell import FirstCell


def test_an_import_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_cell, "PACKAGES", ("json", "no_such_package", "this"))
    assert first_cell.read() == FirstCell({"no_such_package": "ModuleNotFoundError: No module named 'no_such_package'"})


def test_packages_after_one_that_crashes_the_process_are_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_cell, "PACKAGES", ("json", "os", "scikit-learn"))
    monkeypatch.setattr(first_cell, "PROGRAM", "print('dgxcert: yes json', flush=True); import os; os.abort()")
    imports = first_cell.read()
    assert list(imports.problems) == ["os", "scikit-learn"]
    assert "no answer" in imports.says


def test_imports_that_time_out_or_are_killed_are_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_cell, "PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(first_cell, "LIMIT_S", 0.5)
    with pytest.raises(Inconclusive, match="came to no end"):
        first_cell.read()
    monkeypatch.setattr(first_cell, "PROGRAM", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(Inconclusive, match="came to no end"):
        first_cell.read()
