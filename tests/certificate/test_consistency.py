"""A run is signed, shown and verified only as what its record proves: each forgery is refused by its own name."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from suites.certified import folder, ours
from suites.signing import FULL, LATER, NOW, refusal, sign_as
from typer.testing import CliRunner

from dgxcert import report
from dgxcert.certificate import consistency, signed_run
from dgxcert.certificate.statement import combined_digest
from dgxcert.cli import app
from dgxcert.outcome import CannotStart
from dgxcert.plan import suite
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.chain import Chain

DECODE = "DECODE-SPEED[bf16-tuned-single]"
Lines = list[dict[str, Any]]


def rewritten(run: Path, change: Callable[[Lines], object]) -> Path:
    """Change the lines of a record, and make its hashes, run.json and all reports fit it."""
    record = run / journal.NAME
    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    change(lines)
    events = [{name: value for name, value in line.items() if name not in ("line", "hash")} for line in lines]
    links = Chain()
    record.write_bytes(b"".join(links.link(json.dumps(event).encode()) + b"\n" for event in events))
    report.write(runs.assemble(journal.read(run), run.name), run)
    return run


def ending(lines: Lines, key: str) -> dict[str, Any]:
    return next(line for line in lines if line["event"] == "finished" and line["key"] == key)


def moved(lines: Lines, old: str, new: str) -> None:
    for line in lines:
        line["at"] = line["at"].replace(old, new)


def in_the_future(lines: Lines) -> None:
    moved(lines, "2026", "2029")


def one_line_in_the_future(lines: Lines) -> None:
    lines.append({"event": "stage_ended", "stage": "after", "at": "2026-11-26T12:06:00Z"})


def set_back(lines: Lines) -> None:
    lines[-1]["at"] = "2026-11-22T18:40:12.000Z"


def fewer_requirements(lines: Lines) -> None:
    plan = lines[0]["plan"]
    kept = {entry["key"] for entry in plan if entry["id"] != "BF16-CORRECT"}
    lines[0]["plan"] = [entry for entry in plan if entry["key"] in kept]
    lines[:] = [line for line in lines if line.get("key") in {*kept, None}]


def excluded_requirement(lines: Lines) -> None:
    entry = next(entry for entry in lines[0]["plan"] if entry["key"] == DECODE)
    entry["not_applicable"] = "too slow"
    lines[:] = [line for line in lines if line.get("key") != DECODE]


def gate_taken_away(lines: Lines) -> None:
    next(entry for entry in lines[0]["plan"] if entry["id"] == "DISK-SPACE")["gate"] = False


def weaker_limit(lines: Lines) -> None:
    lines[0]["profile"]["limits"]["disk.free"]["min"] = 0.001


def weaker_margin(lines: Lines) -> None:
    lines[0]["profile"]["memory"]["margin"]["value"] += 1


def invented_profile(lines: Lines) -> None:
    lines[0]["profile"]["name"] = "dgx-best"


def failed_made_passed(lines: Lines) -> None:
    ending(lines, "DISK-SPACE")["outcome"] = "passed"


def evidence_that_does_not_hold(lines: Lines) -> None:
    for made in ending(lines, DECODE)["evidence"][0]["held_against"]:
        made.update(measured=1.0, holds=False)


def evidence_said_to_hold(lines: Lines) -> None:
    for item in ending(lines, DECODE)["evidence"]:
        item["value"] = 1.0
        for made in item["held_against"]:
            made["measured"] = 1.0


def nothing_compared(lines: Lines) -> None:
    ending(lines, "GPU-PRESENT")["evidence"] = []


def never_started(lines: Lines) -> None:
    lines[:] = [line for line in lines if (line["event"], line.get("key")) != ("started", "GPU-PRESENT")]


def failed_first(lines: Lines) -> None:
    """The failure comes after the pass, where only the first counts."""
    lines.append(ending(lines, "GPU-PRESENT") | {"outcome": "failed"})


def image_of(lines: Lines) -> dict[str, Any]:
    image: dict[str, Any] = next(line for line in lines if line["event"] == "image")["image"]
    return image


def standin_named_as_the_pinned_base(lines: Lines) -> None:
    image_of(lines).update(base_digest="sha256:47140dd8", standin=False, on_pinned_base=True)


def image_of_another_suite(lines: Lines) -> None:
    image_of(lines).update(suite_sha256="e" * 64)


def image_of_another_lock(lines: Lines) -> None:
    image_of(lines).update(lock_sha256="e" * 64)


FORGERIES = [
    (
        standin_named_as_the_pinned_base,
        "its image is said to be on the pinned base, and its base is another: sha256:4714",
    ),
    (image_of_another_suite, "its image holds another suite (eeeeeeeeeeee) than the run was made by"),
    (image_of_another_lock, "its image was built from another lock of stack course than that of its suite"),
    (in_the_future, "it was measured in the future: at 2029-11-23 18:40 UTC, and here it is 2026-11-26 12:00 UTC"),
    (one_line_in_the_future, "it was measured in the future: at 2026-11-26 12:06 UTC"),
    (fewer_requirements, "its plan lacks BF16-CORRECT of "),
    (excluded_requirement, f"its plan differs from that of its suite in {DECODE}"),
    (gate_taken_away, "its plan differs from that of its suite in DISK-SPACE"),
    (weaker_limit, "its profile dgx-spark is not the one that ships: limits.disk.free differ"),
    (weaker_margin, "its profile dgx-spark is not the one that ships: memory differ"),
    (invented_profile, "no profile dgx-best ships with dgxcert"),
    (evidence_that_does_not_hold, "passed with decode 1.0 >= 10.0 token/s"),
    (evidence_said_to_hold, "decode 1.0 >= 10.0 token/s is said to hold"),
    (nothing_compared, "GPU-PRESENT: passed and nothing was compared"),
    (never_started, "GPU-PRESENT: passed and was never started"),
    (failed_first, "GPU-PRESENT: passed and failed"),
]


@pytest.mark.parametrize(("forge", "words"), FORGERIES)
def test_a_forged_record_is_neither_signed_nor_shown(
    tmp_path: Path, key: Path, forge: Callable[[Lines], object], words: str
) -> None:
    made = rewritten(folder(tmp_path), forge)
    with pytest.raises(CannotStart) as signing:
        signed_run.sign(made, key, 365, NOW, lambda _: None)
    assert words in signing.value.problem
    assert not (made / "certificate.json").exists()
    with pytest.raises(CannotStart) as showing:
        consistency.load(made, NOW)
    assert words in showing.value.problem


def test_a_failure_that_was_made_a_pass_is_refused(tmp_path: Path, key: Path) -> None:
    made = rewritten(folder(tmp_path, FULL), failed_made_passed)
    with pytest.raises(CannotStart, match=r"DISK-SPACE: passed and nothing was compared"):
        signed_run.sign(made, key, 365, NOW, lambda _: None)


def test_a_run_whose_clock_was_set_is_shown_as_one_and_not_signed(tmp_path: Path, key: Path) -> None:
    made = rewritten(folder(tmp_path), set_back)
    with pytest.raises(CannotStart, match=r"its clock was set back, or its lines are out of order"):
        signed_run.sign(made, key, 365, NOW, lambda _: None)
    loaded = consistency.load(made, NOW)
    assert loaded.run.judgement.verdict.value == "REHEARSED"


def test_a_run_as_it_was_made_is_signed(tmp_path: Path, key: Path, allowed: Path) -> None:
    made = rewritten(folder(tmp_path), lambda _: None)
    assert consistency.load(made, NOW) == consistency.Loaded(runs.load(made), "")
    path = signed_run.sign(made, key, 365, NOW, lambda _: None)
    assert signed_run.verify(path, allowed, LATER).unchecked == ""


def test_a_certificate_of_another_suite_is_not_made_here(tmp_path: Path, key: Path) -> None:
    other = ours().model_copy(update={"sha256": "e" * 64, "commit": "abcdef0"})
    made = folder(tmp_path, suite=other)
    with pytest.raises(CannotStart, match=r"made by another suite .*whether its plan is whole.*git checkout abcdef0"):
        signed_run.sign(made, key, 365, NOW, lambda _: None)
    assert "another suite" in consistency.load(made, NOW).unchecked


def test_a_report_of_another_suite_is_signed(tmp_path: Path, key: Path, allowed: Path) -> None:
    other = ours().model_copy(update={"sha256": "e" * 64})
    path = signed_run.sign(folder(tmp_path, FULL, suite=other), key, 365, NOW, lambda _: None)
    assert "another suite" in signed_run.verify(path, allowed, LATER).unchecked


def test_a_suite_that_is_modified_here_was_modified_there(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = folder(tmp_path)
    dirty = ours().model_copy(update={"modified": True, "reason": "checks/a.py was changed"})
    monkeypatch.setattr(suite, "identity", lambda _: dirty)
    with pytest.raises(CannotStart, match=r"suite is said not to be modified, and it is: checks/a.py was changed"):
        signed_run.sign(made, key, 365, NOW, lambda _: None)


def test_the_age_of_a_certificate_counts_from_its_first_measurement(tmp_path: Path, key: Path) -> None:
    def resumed_later(lines: Lines) -> None:
        again = {"event": "resumed", "at": "2026-11-26T11:00:00.000Z", "rebooted": False, "boot_id": None}
        lines.append(again)

    made = rewritten(folder(tmp_path), resumed_later)
    extension = signed_run.read(signed_run.sign(made, key, 10, NOW, lambda _: None), NOW).extension
    assert f"{extension.measured:%Y-%m-%d}" == "2026-11-23"
    assert extension.expires - extension.measured == timedelta(days=10)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"verdict": "REJECTED"', '"verdict": "CERTIFIED"', "CERTIFIED has 0, found 1"),
        ("12 GiB free", "1200 GiB free", "they differ in results"),
        ('"outcome": "failed"', '"outcome": "passed"', "they differ in results"),
        ('"hostname": "spark-07"', '"hostname": "spark-08"', "they differ in machine"),
        ('"ended": "2026-11-23', '"ended": "2026-11-25', "they differ in ended"),
    ],
)
def test_a_run_json_that_its_record_contradicts_is_not_shown(tmp_path: Path, old: str, new: str, words: str) -> None:
    made = folder(tmp_path, FULL)
    path = made / runs.NAME
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    for command in ("show", "report"):
        done = CliRunner().invoke(app, [command, str(made)])
        assert isinstance(done.exception, CannotStart)
        assert words in done.exception.problem
        assert "CERTIFIED" not in done.output


def alone(made: Path) -> Path:
    (made / journal.NAME).unlink()
    return made


def test_a_run_json_without_its_record_is_shown_as_not_checked(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["show", str(alone(folder(tmp_path)))])
    assert done.exit_code == 0
    assert "not checked against its record" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"verdict": "REJECTED"', '"verdict": "CERTIFIED"', "CERTIFIED has 0, found 1"),
        ('"verdict": "REJECTED"', '"verdict": "PARTIAL"', "PARTIAL has 0, found 1"),
        ('"exit_code": 1', '"exit_code": 0', "REJECTED has 1, found 0"),
        ('"outcome": "failed"', '"outcome": "passed"', "DISK-SPACE: passed and nothing was compared"),
        ('"failed": 1', '"failed": 0', "its counts are not those of its results"),
        ('"ended": "2026', '"ended": "2036', "it was measured in the future"),
    ],
)
def test_an_edited_run_json_without_its_record_is_not_shown(tmp_path: Path, old: str, new: str, words: str) -> None:
    made = alone(folder(tmp_path, FULL))
    path = made / runs.NAME
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(CannotStart) as refused:
        consistency.load(made, NOW)
    assert words in refused.value.problem


def test_a_verdict_that_was_edited_with_its_exit_code_is_not_shown(tmp_path: Path) -> None:
    made = alone(folder(tmp_path, FULL))
    path = made / runs.NAME
    text = path.read_text(encoding="utf-8").replace('"verdict": "REJECTED"', '"verdict": "CERTIFIED"')
    path.write_text(text.replace('"exit_code": 1', '"exit_code": 0'), encoding="utf-8")
    with pytest.raises(CannotStart, match="its verdict is CERTIFIED, which its results do not give"):
        consistency.load(made, NOW)


def test_a_run_json_of_another_version_may_have_other_notes_and_nothing_else(tmp_path: Path) -> None:
    made = folder(tmp_path, suite=ours().model_copy(update={"sha256": "e" * 64}))
    path = made / runs.NAME
    before = path.read_text(encoding="utf-8")
    noted = before.replace('"notes": []', '"notes": ["as another version says it"]')
    assert noted != before
    path.write_text(noted, encoding="utf-8")
    assert "another suite" in consistency.load(made, NOW).unchecked
    path.write_text(noted.replace('"CERTIFIED"', '"REHEARSED"'), encoding="utf-8")
    with pytest.raises(CannotStart, match="they differ in judgement, notes"):
        consistency.load(made, NOW)


def test_only_another_version_may_count_starts_differently(tmp_path: Path) -> None:
    """Older ones did not count them at all, and their records hold when each process started."""
    for name, sha256 in (("ours", ours().sha256), ("other", "e" * 64)):
        (tmp_path / name).mkdir()
        made = folder(tmp_path / name, suite=ours().model_copy(update={"sha256": sha256}))
        path = made / runs.NAME
        run = json.loads(path.read_text(encoding="utf-8")) | {"starting_s": {"native": 7.5}}
        path.write_text(json.dumps(run), encoding="utf-8")
    assert "another suite" in consistency.load(made, NOW).unchecked
    with pytest.raises(CannotStart, match="they differ in starting_s"):
        consistency.load(tmp_path / "ours" / made.relative_to(tmp_path / "other"), NOW)


def test_the_reports_of_a_signed_run_are_not_made_again(copied: Path) -> None:
    before = (copied.parent / "report.html").read_bytes()
    done = CliRunner().invoke(app, ["report", str(copied.parent)])
    assert isinstance(done.exception, CannotStart)
    assert "is signed (certificate.json)" in done.exception.problem
    assert (copied.parent / "report.html").read_bytes() == before


def test_a_forged_run_is_refused_despite_a_valid_signature(copied: Path, key: Path, allowed: Path) -> None:
    """As an older dgxcert, or a person with a text editor, would have signed it."""
    made = rewritten(copied.parent, evidence_that_does_not_hold)
    content = json.loads(copied.read_text(encoding="utf-8"))
    digests = signed_run.digests(made)
    content["subject"] = [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)]
    content["predicate"]["dgxcert"]["evidence_sha256"] = combined_digest(digests)
    copied.write_text(json.dumps(content), encoding="utf-8")
    sign_as(copied, key, "dgxcert-certificate")
    assert "passed with decode 1.0 >= 10.0 token/s" in refusal(copied, allowed)


def test_a_summary_of_another_run_is_refused_despite_a_valid_signature(copied: Path, key: Path, allowed: Path) -> None:
    (copied.parent / "summary.md").write_text("# CERTIFIED\n", encoding="utf-8")
    content = json.loads(copied.read_text(encoding="utf-8"))
    digests = signed_run.digests(copied.parent)
    content["subject"] = [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)]
    content["predicate"]["dgxcert"]["evidence_sha256"] = combined_digest(digests)
    copied.write_text(json.dumps(content), encoding="utf-8")
    sign_as(copied, key, "dgxcert-certificate")
    assert refusal(copied, allowed) == "summary.md, which it covers, is not what its run gives"


def test_a_certificate_from_before_the_end_of_its_run_is_refused(tmp_path: Path, key: Path, allowed: Path) -> None:
    def ended_later(lines: Lines) -> None:
        lines.append({"event": "stage_ended", "stage": "after", "at": "2026-11-25T18:40:12Z"})

    path = signed_run.sign(rewritten(folder(tmp_path), ended_later), key, 365, NOW, lambda _: None)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["predicate"]["dgxcert"]["issued"] = "2026-11-24T12:00:00Z"
    path.write_text(json.dumps(content), encoding="utf-8")
    sign_as(path, key, "dgxcert-certificate")
    wanted = "it was issued on 2026-11-24 12:00 UTC, before its run ended on 2026-11-25 18:40 UTC"
    assert refusal(path, allowed) == wanted


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("says", "CERTIFIED: best of all", "its says is CERTIFIED: best of all, in its run it is CERTIFIED (limits"),
        ("weights", "all of them", "its weights is all of them, in its run it is "),
        ("tier", "burn-in", "its tier is burn-in, in its run it is standard"),
        ("suite_version", "9.9", "its suite_version is 9.9"),
        ("measured", "2026-11-25T18:40:12Z", "its measured is 2026-11-25"),
        ("measured", "2026-11-27T18:40:12Z", "it was issued on 2026-11-26 12:00 UTC about a run of 2026-11-27"),
        ("expires", "2036-12-23T18:40:12Z", "wanted up to 3650 days later"),
        ("expires", "2026-11-23T10:40:12Z", "it expires on 2026-11-23 10:40 UTC, and was measured on 2026-11-23"),
        ("measured", "2026-11-23T18:40:12", "without a time zone"),
        ("counts", {"passed": 1}, "it counts 1 requirements as passed and names "),
        ("profile_sha256", "0" * 64, "its profile_sha256 is 0000"),
        ("suite_sha256", "0" * 64, "its suite_sha256 is 0000"),
        ("run", "another", "its run is another"),
        ("record_hash", "0" * 64, "its record_hash is 0000"),
    ],
)
def test_a_statement_that_its_run_contradicts_is_refused(
    copied: Path, key: Path, allowed: Path, field: str, value: object, words: str
) -> None:
    content = json.loads(copied.read_text(encoding="utf-8"))
    content["predicate"]["dgxcert"][field] = value
    copied.write_text(json.dumps(content), encoding="utf-8")
    sign_as(copied, key, "dgxcert-certificate")
    assert words in refusal(copied, allowed)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("result", "WARNED", "its result is WARNED, and it must be PASSED"),
        ("failedTests", ["DISK-SPACE"], "it counts 0 requirements as failed and names 1"),
        ("passedTests", [], "requirements as passed and names 0"),
    ],
)
def test_lists_that_contradict_the_verdict_are_refused(
    copied: Path, key: Path, allowed: Path, field: str, value: object, words: str
) -> None:
    content = json.loads(copied.read_text(encoding="utf-8"))
    content["predicate"][field] = value
    copied.write_text(json.dumps(content), encoding="utf-8")
    sign_as(copied, key, "dgxcert-certificate")
    assert words in refusal(copied, allowed)


def test_a_certificate_with_a_failure_that_nothing_waives_is_refused(copied: Path, key: Path, allowed: Path) -> None:
    content = json.loads(copied.read_text(encoding="utf-8"))
    content["predicate"]["failedTests"] = ["DISK-SPACE"]
    content["predicate"]["dgxcert"]["counts"]["failed"] = 1
    copied.write_text(json.dumps(content), encoding="utf-8")
    sign_as(copied, key, "dgxcert-certificate")
    assert refusal(copied, allowed) == "it claims to be a certificate, and DISK-SPACE did not pass"


def test_a_certificate_in_place_of_its_folder_is_named(copied: Path) -> None:
    with pytest.raises(CannotStart, match=r"certificate.json is a file, not a run folder. Name the folder, /"):
        consistency.load(copied, NOW)
