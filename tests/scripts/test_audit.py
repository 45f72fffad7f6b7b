"""The audit of the locks fails for an open advisory, and claims nothing where no database answered."""

import datetime
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from paths import ROOT

REAL_RUN = subprocess.run
TODAY = datetime.date(2026, 12, 1)
FAULT = {"id": "PYSEC-2026-7", "aliases": ["CVE-2026-7", "GHSA-7"], "fix_versions": ["2.99"]}


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("audit")


def report(*faults: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": [{"name": "requests", "version": "2.0", "vulns": list(faults)}]}


def entry(name: str = "CVE-2026-7", package: str = "requests", until: str = "2026-12-01") -> str:
    return f"- {{id: {name}, package: {package}, reason: not called, until: {until}}}\n"


def test_an_advisory_that_nobody_accepted_is_open(audit: ModuleType) -> None:
    _, found = audit.parse(report(FAULT))
    assert audit.open_advisories(found, [], TODAY) == ["requests 2.0: CVE-2026-7, GHSA-7, PYSEC-2026-7; fixed in 2.99"]


@pytest.mark.parametrize(
    ("accepted", "open_"),
    [
        (entry(), 0),
        (entry("GHSA-7"), 0),
        (entry(until="2026-11-30"), 1),
        (entry(until="2026-11-30") + entry(until="2027-01-01"), 0),
        (entry("CVE-2026-8"), 1),
        (entry(package="six"), 1),
        ("", 1),
    ],
)
def test_an_acceptance_counts_for_its_package_until_its_day(audit: ModuleType, accepted: str, open_: int) -> None:
    _, found = audit.parse(report(FAULT))
    assert len(audit.open_advisories(found, audit.accepted(accepted), TODAY)) == open_


@pytest.mark.parametrize(
    "text",
    ["- CVE-2026-7", "- {id: CVE-2026-7}", entry(until="never"), entry().replace("not called", "''"), "- {}"],
)
def test_an_acceptance_needs_a_reason_and_a_date(audit: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match="wanted id, package, reason and until"):
        audit.accepted(text)


def test_the_accepted_advisories_of_this_checkout_can_be_read(audit: ModuleType) -> None:
    audit.accepted(audit.ACCEPTED.read_text(encoding="utf-8"))


def test_every_lock_is_audited(audit: ModuleType) -> None:
    names = {pin.name for pin in audit.pins()}
    assert {"pydantic", "ruff", "transformers", "torch", "nvidia-cublas"} <= names
    assert {pin.version for pin in audit.pins() if pin.name == "transformers"} == {"4.57.6", "5.23.0"}


def run(audit: ModuleType, monkeypatch: pytest.MonkeyPatch, answer: str, *options: str) -> int:
    """The exit status of a whole audit, with this in pip-audit's place: what it writes to its output file."""
    fake = "import pathlib, sys; pathlib.Path(sys.argv[sys.argv.index('--output') + 1]).write_text(ANSWER)"

    def started(command: list[str], **keywords: Any) -> Any:
        return REAL_RUN([sys.executable, "-c", fake.replace("ANSWER", repr(answer)), *command[3:]], **keywords)

    monkeypatch.setattr(subprocess, "run", started)
    monkeypatch.setattr(sys, "argv", ["audit.py", *options])
    try:
        audit.main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0


SKIPPED = json.dumps({"dependencies": [{"name": "requests", "skip_reason": "not found on PyPI"}]})


@pytest.mark.parametrize("answer", [SKIPPED, "", "<html>", "{}x"], ids=["skipped", "empty", "html", "damaged"])
def test_a_database_that_cannot_be_reached_is_said_and_is_no_pass(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    assert run(audit, monkeypatch, answer) == 0
    assert run(audit, monkeypatch, answer, "--must-reach") == 2
    out, err = capsys.readouterr()
    assert (
        out.splitlines()
        == ["audit: no pin was audited: the advisory database could not be reached, or answers too slowly"] * 2
    )
    assert err == ""


def test_a_slow_database_costs_no_more_than_the_limit(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    start = time.monotonic()
    assert audit.ask([], 0.1) is None
    assert time.monotonic() - start < 30


def test_an_open_advisory_fails_the_audit(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(audit, monkeypatch, json.dumps(report(FAULT))) == 1
    assert run(audit, monkeypatch, json.dumps(report())) == 0
    out, err = capsys.readouterr()
    assert "audit: requests 2.0: CVE-2026-7" in err
    assert "1 of " in out
    assert "pins audited, 0 open advisories" in out
