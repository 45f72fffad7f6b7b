"""First cell: the result of each package is read, and a process that was killed is inconclusive."""

import pytest
from completed import completed

from dgxcert.command import Completed
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import beside, first_cell, package_import
from dgxcert.probes.stack.placement import Package, Place


def printed(*failing: str) -> str:
    """What the process prints where these packages do not import."""
    modules = [package_import.module(name) for name in first_cell.PACKAGES]
    return "".join(
        f"dgxcert: no {name} ImportError: no library\n" if name in failing else f"dgxcert: yes {name}\n"
        for name in modules
    )


def test_packages_that_import_are_no_problem() -> None:
    assert first_cell.parse(f"a banner\n{printed()}", "").problems == {}


def test_error_of_a_package_is_read_by_its_distribution() -> None:
    cell = first_cell.parse(printed("sklearn"), "")
    assert cell.problems == {"scikit-learn": "ImportError: no library"}
    assert cell.source.endswith(": scikit-learn: ImportError: no library")


def test_package_without_an_answer_is_the_one_that_killed_the_process() -> None:
    lines = printed().splitlines(keepends=True)
    problems = first_cell.parse("".join(lines[:-1]), "signal 11").problems
    assert problems == {"scikit-learn": "no answer: signal 11"}


@pytest.mark.parametrize("done", [completed("", "", None), completed("", "", -9)])
def test_process_that_was_killed_is_inconclusive(monkeypatch: pytest.MonkeyPatch, done: Completed) -> None:
    monkeypatch.setattr(first_cell.command, "run", lambda *_, **__: done)
    with pytest.raises(Inconclusive, match="did not finish"):
        first_cell.read()


def test_an_error_of_a_package_beside_the_lock_has_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Package("keras", "3.6.0", "/site", Place.ENVIRONMENT, "pip", ("keras",))
    monkeypatch.setattr(beside, "of_this_environment", lambda: (guest,))
    output = printed("transformers").replace("no library", "your version of keras is not supported")
    monkeypatch.setattr(first_cell.command, "run", lambda *_, **__: completed(output))
    assert "python -m pip uninstall -y keras" in first_cell.read().remedy[0]
    monkeypatch.setattr(first_cell.command, "run", lambda *_, **__: completed(printed("transformers")))
    assert first_cell.read().remedy == ()
