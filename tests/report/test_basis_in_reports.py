"""Every report says how many of a run's limits are measured, published and derived, and which site tightened them."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from suites import site_profile
from suites.certified import events, run

from dgxcert.certificate import statement, summary
from dgxcert.judgement.basis_count import EXPLAINED
from dgxcert.judgement.evidence import Evidence, Recorder
from dgxcert.profiles import profile as profiles
from dgxcert.profiles import site
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import html, junit, markdown, prometheus, terminal

SPARK = profiles.load("dgx-spark")
NOW = datetime(2026, 11, 26, tzinfo=UTC)


def compared() -> tuple[Evidence, ...]:
    """Quantities compared with a published limit, with another in two places, and with a derived one."""
    recorder = Recorder()
    for name in ("clock.under_load", "bandwidth.copy", "bandwidth.copy", "transfer.to_host"):
        limit = SPARK.limits[name]
        assert recorder.record(name, 10_000, unit=limit.unit, source="a test") >= limit
    return tuple(recorder.kept)


def certified() -> Run:
    made = [
        event.model_copy(update={"evidence": compared()})
        if isinstance(event, journal.Finished) and event.key == "DISK-SPACE"
        else event
        for event in events()
    ]
    return runs.assemble(made, "2026-11-23T18-40-12Z-spark-07")


COUNTS = {"measured": 0, "published": 2, "derived": 1}
FIRST = "CERTIFIED (limits: 0 measured, 2 published, 1 derived)"


def test_run_json_holds_the_counts_and_is_read_back() -> None:
    made = certified()
    assert json.loads(made.model_dump_json())["limits"] == COUNTS
    assert Run.model_validate_json(made.model_dump_json()) == made


def test_the_terminal_says_them_on_the_line_of_the_verdict() -> None:
    console = Console(file=io.StringIO(), width=60)
    terminal.show(certified(), console, "results/run")
    assert isinstance(console.file, io.StringIO)
    assert f"\n{FIRST}: every requirement" in console.file.getvalue()


def test_the_other_reports_say_them() -> None:
    made = certified()
    assert markdown.render(made).startswith(f"# {FIRST}: every requirement")
    page = html.render(made)
    assert "Limits: 0 measured, 2 published, 1 derived." in page
    for text in (page, markdown.render(made)):
        assert EXPLAINED in text
    properties = {
        part.get("name"): part.get("value") for part in ElementTree.fromstring(junit.render(made)).iter("property")
    }
    assert properties["limits"] == "0 measured, 2 published, 1 derived"
    assert (properties["limits.published"], properties["limits.derived"]) == ("2", "1")
    assert 'dgxcert_limits{basis="published"} 2.0' in prometheus.render(made)


def test_the_signed_statement_and_what_verify_prints_say_them() -> None:
    signed = statement.make(certified(), {"run.json": "00"}, NOW, 365).extension
    assert signed.limits == COUNTS
    assert signed.says.startswith(f"{FIRST}: ")
    assert summary.of_signing(signed, Path("certificate.json"))[:2] == [signed.says, EXPLAINED]


def test_a_run_and_a_certificate_from_before_are_read_and_say_that_no_basis_is_stated() -> None:
    content = json.loads(run().model_dump_json())
    del content["limits"]
    for limit in content["profile"]["limits"].values():
        del limit["basis"]
    old = Run.model_validate(content)
    assert old.limits is None
    assert markdown.render(old).startswith("# CERTIFIED (limits: basis not stated): ")
    signed = json.loads(statement.make(run(), {"run.json": "00"}, NOW, 365).text())
    del signed["predicate"]["dgxcert"]["limits"]
    extension = statement.Statement.model_validate(signed).extension
    assert EXPLAINED not in summary.of_signing(extension, Path("certificate.json"))


def test_a_record_from_before_assembles_to_what_it_did() -> None:
    opened = events()[0].model_dump(mode="json")
    for limit in opened["profile"]["limits"].values():
        del limit["basis"]
    old = [journal.Opened.model_validate(opened), *events()[1:]]
    assert runs.assemble(old, "2026-11-23T18-40-12Z-spark-07").limits is None


def tightened(folder: Path) -> Run:
    """A run whose limits a site has tightened."""
    profile = site.apply(SPARK, site_profile.write(folder))
    # whole profiles only: the requirements of the example are none that it excludes
    return run(profile=profile)


def test_every_report_and_the_certificate_name_the_site_profile_and_its_hash(tmp_path: Path) -> None:
    made = tightened(tmp_path)
    assert made.profile.site is not None
    sha256 = made.profile.site.sha256
    assert made.judgement.verdict.value == "CERTIFIED"
    assert Run.model_validate_json(made.model_dump_json()) == made
    console = Console(file=io.StringIO(), width=300)
    terminal.show(made, console, "results/run")
    assert isinstance(console.file, io.StringIO)
    signed = statement.make(made, {"run.json": "00"}, NOW, 365)
    described = "site profile dgx-spark of Ada Lovelace, 2026-11-30, from 3 runs of 3 machines, 2 limits tightened"
    for text in (console.file.getvalue(), html.render(made), junit.render(made), markdown.render(made)):
        assert f"{described}, SHA-256 {sha256}" in text
    assert f'site_sha256="{sha256}"' in prometheus.render(made)
    assert signed.extension.site == made.profile.site
    assert f"; site dgx-spark {sha256[:12]}): every requirement" in signed.extension.says
    assert sha256 in [each.digest.get("sha256") for each in signed.predicate.configuration]
    assert any("made by another version of the suite" in note for note in made.notes)
