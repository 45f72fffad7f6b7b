"""A run is closed with what it has, whatever ends it."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from suites import example

from dgxcert.judgement.verdict import Verdict
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.state import RunState
from dgxcert.runner import validation


class Breaks:
    """A pipeline that fails as none should."""

    def __init__(self, *given: object) -> None:
        pass

    def run(self) -> None:
        raise RuntimeError("nobody thought of this")


def test_an_error_of_our_own_costs_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "Pipeline", Breaks)
    (tmp_path / "logs").mkdir()
    opened = example.opened(example.planned("A"), example.planned("B"))
    writer = journal.Writer(tmp_path)
    writer.append(opened)
    writer.append(example.finished("A"))
    with pytest.raises(RuntimeError, match="nobody thought of this"):
        validation._work(opened, tmp_path, writer, RunState(journal.read(tmp_path)), Console(file=io.StringIO()))
    run = runs.load(tmp_path)
    assert run.judgement.verdict is Verdict.INCONCLUSIVE
    assert [result.outcome.value for result in run.results] == ["passed", "not_run"]
