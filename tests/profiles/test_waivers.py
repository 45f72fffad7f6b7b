"""A waiver has a name, a date and a reason, and is in every report; an expired or unknown one prevents a run."""

import io
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from suites.certified import KEYS, SPARK, events, run
from suites.example import finished

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import CannotStart, Outcome
from dgxcert.profiles import waivers
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import run as runs
from dgxcert.report import html, junit, markdown, prometheus, terminal

TODAY = date(2026, 11, 26)
GOOD = """
waivers:
  - requirement: DISK-SPACE
    machine: spark-07
    reason: models are on the NFS share
    who: Ada Lovelace
    until: 2027-01-31
"""
WAIVER = Waiver(
    requirement="DISK-SPACE",
    machine="spark-07",
    reason="models are on the NFS share",
    who="Ada Lovelace",
    until=date(2027, 1, 31),
)
FULL = finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free, required >= 200 GiB", remedy=("free some space",))


def load(tmp_path: Path, text: str, today: date = TODAY) -> tuple[Waiver, ...]:
    path = tmp_path / "waivers.yaml"
    path.write_text(text, encoding="utf-8")
    return waivers.load(path, KEYS, SPARK, today)


def test_a_waiver_of_this_machine_is_read(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD) == (WAIVER,)


@pytest.mark.parametrize("name", ["spark-07", "1420525001234", "GPU-5b1f0c1d"])
def test_a_machine_is_known_by_name_serial_or_gpu(tmp_path: Path, name: str) -> None:
    assert len(load(tmp_path, GOOD.replace("spark-07", f"'{name}'"))) == 1


def test_a_waiver_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD.replace("spark-07", "spark-08")) == ()


def test_it_is_valid_on_its_last_day_and_not_after(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD, date(2027, 1, 31))
    with pytest.raises(CannotStart, match=r"waiver 1 \(DISK-SPACE of spark-07\) expired on 2027-01-31"):
        load(tmp_path, GOOD, date(2027, 2, 1))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD.replace("spark-07", "spark-08").replace("2027", "2025"), "expired on 2025-01-31"),
        (GOOD.replace("DISK-SPACE", "DISK-SPACES"), "did you mean 'DISK-SPACE'"),
        (GOOD.replace("DISK-SPACE", "'*'"), "there is no such requirement"),
        (GOOD + GOOD.replace("waivers:\n", ""), "is given 2 times"),
        (GOOD.replace("    who: Ada Lovelace\n", ""), "line 3, column 5: missing key 'waivers.0.who'"),
        (GOOD.replace("Ada Lovelace", "' '"), "waivers.0.who"),
        (GOOD.replace("2027-01-31", "soon"), "waivers.0.until"),
        (GOOD + "    certify: true\n", "waivers.0.certify"),
        ("- DISK-SPACE", "the file: wanted keys and values, found a list"),
        ("", "wanted keys and values, found nothing"),
        ("waivers: [", "is not YAML"),
    ],
)
def test_an_invalid_waiver_prevents_a_run(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(CannotStart) as raised:
        load(tmp_path, text)
    assert complaint in raised.value.problem


def test_the_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="cannot be read"):
        waivers.load(tmp_path / "none.yaml", KEYS, SPARK, TODAY)


def test_a_waived_failure_stays_a_failure_and_the_verdict_names_its_waivers() -> None:
    waived = run(FULL, waivers=(WAIVER,))
    assert waived.judgement.verdict is Verdict.CERTIFIED
    assert waived.judgement.counts["failed"] == 1
    (result,) = waived.waived
    assert (result.outcome, result.label, result.waiver) == (Outcome.FAILED, "failed, waived", WAIVER)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_without_its_waiver_the_same_run_does_not_pass(outcome: Outcome) -> None:
    ending = finished("DISK-SPACE", outcome, reason="full")
    other = WAIVER.model_copy(update={"requirement": "GPU-PRESENT"})
    assert run(ending, waivers=(WAIVER,)).judgement.verdict is Verdict.CERTIFIED
    assert run(ending).judgement.verdict is not Verdict.CERTIFIED
    assert run(ending, waivers=(other,)).judgement.verdict is not Verdict.CERTIFIED


def test_a_requirement_that_was_not_measured_cannot_be_waived() -> None:
    begun, image, *endings = events(waivers=(WAIVER,))
    without = [begun, image, *(each for each in endings if getattr(each, "key", "") != "DISK-SPACE")]
    partial = runs.assemble(without, "run")
    assert partial.judgement.verdict is Verdict.INCONCLUSIVE
    assert partial.waived == []


def test_every_report_shows_the_waiver() -> None:
    waived = run(FULL, waivers=(WAIVER,))
    printed = io.StringIO()
    terminal.show(waived, Console(file=printed, width=200), "results/x")
    case = next(
        case
        for case in ElementTree.fromstring(junit.render(waived)).iter("testcase")
        if case.get("name") == "DISK-SPACE"
    )
    (skipped,) = case.iter("skipped")
    reports = {
        "terminal": printed.getvalue(),
        "markdown": markdown.render(waived),
        "html": html.render(waived),
        "junit": skipped.get("message", ""),
    }
    for name, text in reports.items():
        for words in ("failed", "waived", "Ada Lovelace", "models are on the NFS share", "2027-01-31"):
            assert words in text, (name, words)
    assert 'dgxcert_waiver_expiry_timestamp_seconds{requirement="DISK-SPACE",who="Ada Lovelace"}' in prometheus.render(
        waived
    )
    assert 'dgxcert_requirement_outcome{outcome="failed",requirement="DISK-SPACE"} 1.0' in prometheus.render(waived)


def test_a_run_does_not_continue_with_a_waiver_that_has_expired() -> None:
    waiver = Waiver(requirement="DISK-SPACE", machine="spark-07", reason="r", who="w", until=date(2027, 1, 31))
    waivers.require_valid((waiver,), date(2027, 1, 31))
    with pytest.raises(CannotStart, match="DISK-SPACE, with which this run began, expired on 2027-01-31"):
        waivers.require_valid((waiver,), date(2027, 2, 1))
