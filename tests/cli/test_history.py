"""`history` lists runs and benchmarks; `bundle` lists the files, asks, and only then writes."""

import re
from pathlib import Path

import pytest
from suites.certified import folder
from typer.testing import CliRunner

from dgxcert.cli import app

DECODE = "DECODE-SPEED[bf16-tuned-single]"


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
    (written,) = tmp_path.glob("*.tar.gz")
    assert re.fullmatch(r"dgxcert-bundle-[0-9a-f]{12}\.tar\.gz", written.name)
    again = call(app, ["bundle", str(made), "--hide-host", "--yes"])
    assert "already exists" in str(again.exception)


def test_the_command_lists_runs_and_shows_each_benchmark(tmp_path: Path) -> None:
    folder(tmp_path)
    call = CliRunner().invoke
    listed = call(app, ["history", "--results", str(tmp_path)])
    assert listed.exit_code == 0
    row = re.search(r"^2026-11-23 18:40 .*$", listed.output, re.MULTILINE)
    assert row is not None
    _when, host, gpu, profile, tier, verdict, _, decode, *_, run_id = re.split("  +", row.group())
    assert (host, gpu, profile, tier, verdict, decode) == (
        *("spark-07", "GB10", "dgx-spark", "standard", "CERTIFIED", "14"),
    )
    assert call(app, ["show", run_id, "--results", str(tmp_path)]).exit_code == 0
    shown = call(app, ["history", "spark-07", "--results", str(tmp_path)])
    assert DECODE in shown.output
    assert "14 token/s" in shown.output
    assert "1 run of 1 machine" in shown.output


def test_an_unknown_machine_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    folder(tmp_path)
    done = CliRunner().invoke(app, ["history", "spark-99", "--results", str(tmp_path)])
    assert done.exit_code != 0
    assert "spark-07" in str(done.exception)
