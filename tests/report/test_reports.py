"""All reports of a run agree, are rebuilt from run.json byte for byte, and never show an older verdict."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from suites.example import finished, opened, planned

from dgxcert import report
from dgxcert.plan.options import Weights
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import junit, markdown, terminal


def test_every_report_is_rebuilt_from_run_json_byte_for_byte(hostile: Run, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, of in ((first, lambda: hostile), (second, lambda: runs.load(first))):
        folder.mkdir()
        report.write(of(), folder)
    names = sorted(path.name for path in first.iterdir())
    assert names == ["junit.xml", "run.json", "summary.md"]
    assert [(first / name).read_bytes() for name in names] == [(second / name).read_bytes() for name in names]


@pytest.mark.parametrize(("weights", "words"), [(Weights.SEEDED, "nothing was downloaded"), (Weights.HUB, "pinned")])
def test_every_report_names_the_weights(run: Run, weights: Weights, words: str) -> None:
    changed = run.model_copy(update={"options": run.options.model_copy(update={"weights": weights})})
    assert words in markdown.render(changed)
    printed = io.StringIO()
    terminal.show(changed, Console(file=printed, width=200), "results/run")
    assert words in printed.getvalue()
    assert f'name="weights" value="{weights.value}"' in junit.render(changed)


def test_no_report_of_somebody_elses_run_shows_a_secret(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "x7Qm2kLp-known")
    secrets = ("x7Qm2kLp-known", "9fWq3", "ghp_" + "x7Qm2kLp" * 4 + "x7Qm")
    reason = f"sent {secrets[0]}, https://ada:{secrets[1]}@hub.example and {secrets[2]}"
    results = tuple(result.model_copy(update={"reason": reason}) for result in run.results)
    theirs = run.model_copy(update={"results": results, "notes": (reason,)})
    printed = io.StringIO()
    terminal.show(theirs, Console(file=printed, width=40), "results/run")
    reports = {path.name: path.read_text(encoding="utf-8") for path in report.write_all(theirs, tmp_path)}
    report.write(theirs, tmp_path)
    reports |= {name: (tmp_path / name).read_text(encoding="utf-8") for name in ("junit.xml", "summary.md")}
    for text in (*reports.values(), "".join(printed.getvalue().split())):
        assert not [secret for secret in secrets if secret in text]
    assert "[secret]" in reports["summary.md"]


def test_a_report_of_an_older_verdict_is_removed(tmp_path: Path) -> None:
    for name in ("report.html", "metrics.prom"):
        (tmp_path / name).write_text("CERTIFIED", encoding="utf-8")
    report.write(runs.assemble([opened(planned("A")), finished("A")], "run"), tmp_path)
    assert not {"report.html", "metrics.prom"} & {path.name for path in tmp_path.iterdir()}
