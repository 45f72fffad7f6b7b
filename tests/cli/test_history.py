"""`bundle` lists the files, asks, and only then writes."""

from pathlib import Path

import pytest
from suites.certified import folder
from typer.testing import CliRunner

from dgxcert.cli import app


def test_a_bundle_is_listed_and_confirmed_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = folder(tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    call = CliRunner().invoke
    refused = call(app, ["bundle", str(made)], input="n\n")
    assert "logs/container-1.log" in refused.output
    assert refused.exit_code != 0
    assert not list(tmp_path.glob("*.tar.gz"))
    no_terminal = call(app, ["bundle", str(made)], input="")
    assert "Nothing was written" in str(no_terminal.exception)
    assert not list(tmp_path.glob("*.tar.gz"))
    accepted = call(app, ["bundle", str(made), "--hide-host"], input="y\n")
    assert accepted.exit_code == 0
    assert [path.name for path in tmp_path.glob("*.tar.gz")] == ["2026-11-23T18-40-12Z-host.tar.gz"]
    again = call(app, ["bundle", str(made), "--hide-host", "--yes"])
    assert "already exists" in str(again.exception)
