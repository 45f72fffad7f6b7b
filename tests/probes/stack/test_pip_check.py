"""pip check: conflicts are read from pip's output, and an output without a result is inconclusive."""

import pytest
from completed import completed

from dgxcert.command import Completed
from dgxcert.outcome import Inconclusive
from dgxcert.probes.stack import pip_check
from dgxcert.probes.stack.lockfile import StackLock

CONFLICT = "peft 1.0 has requirement torch>=2.1, but you have torch 2.0."


@pytest.mark.parametrize(
    ("done", "conflicts"),
    [
        (completed(f"{pip_check.NO_CONFLICTS}\n"), []),
        (completed(f"{CONFLICT}\n", "WARNING: a newer pip", 1), [CONFLICT]),
    ],
)
def test_conflicts_are_read(done: Completed, conflicts: list[str]) -> None:
    assert pip_check.parse(done) == conflicts


@pytest.mark.parametrize(
    "done", [completed(""), completed("", "Traceback", 1), completed("", "", None), completed("x", "", 2)]
)
def test_output_without_a_result_is_inconclusive(done: Completed) -> None:
    with pytest.raises(Inconclusive, match="does not report"):
        pip_check.parse(done)


def test_conflicts_of_the_base_image_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    done = completed(f"{CONFLICT}\nx 1 requires y\n", "", 1)
    monkeypatch.setattr(pip_check.command, "run", lambda *_, **__: done)
    lock = StackLock("course", "the lock", {}, conflicts=("x 1 requires y",))
    assert pip_check.read(lock) == [CONFLICT]


def test_missing_pip_is_inconclusive(monkeypatch: pytest.MonkeyPatch, lock: StackLock) -> None:
    monkeypatch.setattr(pip_check.command, "run", lambda *_, **__: completed("", "No module named pip", 1))
    with pytest.raises(Inconclusive, match="has no pip"):
        pip_check.read(lock)
