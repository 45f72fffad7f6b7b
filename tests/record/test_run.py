"""A run is rebuilt from its record alone: the first outcome counts, and a missing one is never a pass."""

import jsonschema
import pytest
from suites.example import (
    AT,
    every_event,
    finished,
    image_ready,
    opened,
    planned,
    profile_for_any_suite,
    short_of,
    started,
)

from dgxcert.judgement.verdict import Verdict
from dgxcert.machine.software import Software
from dgxcert.machine.trait import Trait
from dgxcert.outcome import DISTURBED, UNEXPLAINED, CannotStart, Outcome
from dgxcert.plan.options import Options
from dgxcert.record import journal, state
from dgxcert.record import run as runs
from dgxcert.record.run import Result, Run


def assemble(*events: journal.Event) -> Run:
    return runs.assemble(list(events), "2026-11-23T18-40-12Z-spark-07")


def only(run: Run) -> Result:
    (result,) = run.results
    return result


@pytest.mark.parametrize("later", list(Outcome))
def test_a_later_line_never_changes_how_a_requirement_ended(later: Outcome) -> None:
    run = assemble(opened(planned("A")), finished("A", Outcome.FAILED, reason="too slow"), finished("A", later))
    assert (only(run).outcome, only(run).reason) == (Outcome.FAILED, "too slow")
    assert run.judgement.verdict is Verdict.REJECTED


def test_a_lost_requirement_stays_lost_even_if_its_process_reports_later() -> None:
    run = assemble(opened(planned("A")), state.lost(started("A"), rebooted=False), finished("A"))
    assert (only(run).outcome, run.judgement.verdict) == (Outcome.INCONCLUSIVE, Verdict.INCONCLUSIVE)


def test_all_passed_on_a_profile_that_cannot_certify_is_a_rehearsal() -> None:
    run = assemble(opened(planned("A"), planned("B")), finished("A"), finished("B"))
    assert (run.judgement.verdict, run.judgement.exit_code) == (Verdict.REHEARSED, 0)


@pytest.mark.parametrize(
    ("certifies", "only", "used", "verdict"),
    [
        (True, (), [image_ready()], Verdict.CERTIFIED),
        (True, ("A",), [image_ready()], Verdict.PARTIAL),
        (False, (), [image_ready()], Verdict.REHEARSED),
        (True, (), [], Verdict.REHEARSED),
        (True, (), [image_ready(standin=True)], Verdict.REHEARSED),
        (True, (), [image_ready(on_pinned_base=False)], Verdict.REHEARSED),
    ],
    ids=["whole", "a part", "a rehearsal's profile", "outside the image", "a stand-in", "another base"],
)
def test_only_a_whole_run_of_a_certifying_profile_in_the_real_image_certifies(
    certifies: bool, only: tuple[str, ...], used: list[journal.Event], verdict: Verdict
) -> None:
    profile = profile_for_any_suite().model_copy(update={"certifies": certifies})
    options = Options(profile="any-suite", only=only)
    run = assemble(opened(planned("A"), profile=profile, options=options), *used, finished("A"))
    assert run.judgement.verdict is verdict


def test_stand_in_and_native_runs_report_that_they_certify_nothing() -> None:
    certifying = profile_for_any_suite().model_copy(update={"certifies": True})
    native = assemble(opened(planned("A"), profile=certifying), finished("A"))
    assert "the work was done outside the container, so this run certifies nothing" in native.notes
    standin = assemble(opened(planned("A")), image_ready(standin=True), finished("A"))
    assert "built on a stand-in for NVIDIA's, so this run certifies nothing" in standin.notes[0]
    other = assemble(opened(planned("A")), image_ready(on_pinned_base=False), finished("A"))
    assert "base@sha256:1, which is not the pinned base image, so this run certifies nothing" in other.notes[0]


def test_the_problem_of_a_stage_is_the_reason_of_each_of_its_requirements() -> None:
    ended = journal.StageEnded(stage="native", problem="it needs DOCKER-REACHABLE to pass first")
    run = assemble(opened(planned("A"), planned("B", stage="host")), finished("B"), ended)
    assert run.results[0].reason == "the native stage could not run it: it needs DOCKER-REACHABLE to pass first"
    assert run.judgement.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("seen", [[], [started("B")]])
def test_a_requirement_that_was_not_reached_is_not_run_and_prevents_a_pass(seen: list[journal.Event]) -> None:
    run = assemble(opened(planned("A"), planned("B")), finished("A"), *seen)
    assert run.results[1].outcome is Outcome.NOT_RUN
    assert run.results[1].reason == "the run ended before it was measured"
    assert run.results[1].wanted
    assert (run.judgement.verdict, run.judgement.exit_code) == (Verdict.INCONCLUSIVE, 2)


def test_a_run_in_which_nothing_was_measured_is_inconclusive() -> None:
    run = assemble(opened(planned("A", not_applicable="no GPU"), planned("B", not_run="deselected by --only")))
    assert run.judgement.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("decision", "outcome"), [("not_applicable", Outcome.NOT_APPLICABLE), ("not_run", Outcome.NOT_RUN)]
)
def test_an_excluded_requirement_has_a_reason_and_does_not_prevent_a_pass(decision: str, outcome: Outcome) -> None:
    run = assemble(opened(planned("A"), planned("B", **{decision: "because"})), finished("A"))
    assert (run.results[1].outcome, run.results[1].reason, run.results[1].wanted) == (outcome, "because", False)
    assert run.judgement.verdict is Verdict.REHEARSED


def test_a_record_cannot_claim_that_a_requirement_does_not_apply() -> None:
    run = assemble(opened(planned("A"), planned("B")), finished("A"), finished("B", Outcome.NOT_APPLICABLE))
    assert run.judgement.verdict is Verdict.INCONCLUSIVE


def test_the_outcome_of_an_unplanned_requirement_is_ignored() -> None:
    run = assemble(opened(planned("A")), finished("Z"))
    assert [result.key for result in run.results] == ["A"]
    assert run.judgement.counts["passed"] == 0


def test_a_failure_without_its_own_remedy_has_that_of_the_requirement() -> None:
    run = assemble(
        opened(planned("A"), planned("B")), finished("A", Outcome.FAILED), finished("B", Outcome.INCONCLUSIVE)
    )
    assert run.results[0].remedy == ("fix A",)
    assert run.results[1].remedy == (), "repairing the machine does not help a measurement that could not be taken"


def test_only_the_steps_for_this_machine_and_this_run_are_kept() -> None:
    steps = (Trait.DGX_OS.only("sudo apt full-upgrade"), Trait.OTHER_OS.only("Ask."), Trait.NATIVE.only("make setup"))
    run = assemble(opened(planned("A")), finished("A", Outcome.FAILED, remedy=(*steps, "Restart.")))
    assert only(run).remedy == ("Ask.", "make setup", "Restart.")


def test_a_step_leads_to_where_the_run_did_its_work() -> None:
    again = "Run: make validate ONLY=A; then in `make shell`: python -m pip check"
    run = assemble(opened(planned("A")), finished("A", Outcome.FAILED, remedy=(again,)))
    where = run.options.of_make
    assert only(run).remedy == (
        f"Run: make validate {where} ONLY=A; then in `make shell {where}`: python -m pip check",
    )


def test_a_result_has_its_evidence_its_time_and_the_log_of_its_process() -> None:
    children = [journal.ChildStarted(stage="native", number=n, pid=n, log=f"logs/native-{n}.log") for n in (1, 2)]
    run = assemble(
        opened(planned("A")),
        *children,
        started("A", child=2),
        finished("A", Outcome.FAILED, evidence=(short_of(13.0),)),
    )
    assert only(run).log == "logs/native-2.log"
    assert (only(run).started, only(run).duration_s) == (AT, 2.5)
    assert only(run).evidence == (short_of(13.0),)


def test_the_notes_explain_the_verdict() -> None:
    assert assemble(*every_event()).notes == (
        "PYTHONWARNINGS was set and is ignored: it could change what the suite runs",
        "process 1 of stage native said what it may not: 'B' is not being measured",
        "stage native: 1 requirements were never started",
        "interrupted by the user during A",
        f"resumed at {AT} after the machine was restarted",
    )


def test_what_can_change_a_result_is_noted() -> None:
    software = Software(python="3.12.3", executable="python", packages={}, startup_code=("/a/site.pth",))
    read = [journal.SoftwareRead(stage=stage, software=software) for stage in ("host", "native")]
    assert assemble(opened(planned("A"), unusual_environment=("OMP_NUM_THREADS=1",)), *read).notes == (
        "OMP_NUM_THREADS=1 is set, which can change what is measured",
        "Python ran /a/site.pth at its start, which no installed package owns and which can change any result",
    )


def test_a_fresh_process_is_noted() -> None:
    children = [
        journal.ChildStarted(stage=stage, number=n, pid=n, log=f"logs/{stage}-{n}.log")
        for n, stage in enumerate(("host", "native", "native"), start=1)
    ]
    notes = assemble(opened(planned("A")), *children).notes
    assert notes == ("stage native continued in a fresh process (logs/native-3.log)",)


def test_run_json_is_valid_against_its_schema() -> None:
    jsonschema.Draft202012Validator(Run.model_json_schema(mode="serialization")).validate(
        assemble(*every_event()).model_dump(mode="json")
    )


def test_run_json_is_read_back_as_it_was_written(tmp_path) -> None:
    run = assemble(*every_event())
    (tmp_path / runs.NAME).write_text(run.model_dump_json())
    assert runs.load(tmp_path) == run


def test_a_missing_run_json_is_named_with_a_remedy_that_works(tmp_path) -> None:
    folder = tmp_path / "a run"
    with pytest.raises(CannotStart, match=r"run.json cannot be read: No such file .*`dgxcert history` lists"):
        runs.load(folder)
    folder.mkdir()
    (folder / journal.NAME).touch()
    with pytest.raises(CannotStart, match=rf"run.json cannot be read: No such file .*--resume '{folder}'"):
        runs.load(folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", "not JSON", '{"format": 2}', "\x00"])
def test_a_file_that_is_no_run_is_refused(tmp_path, content: str) -> None:
    (tmp_path / runs.NAME).write_text(content)
    with pytest.raises(CannotStart, match="is not a run that this dgxcert reads"):
        runs.load(tmp_path)


def test_the_first_problem_of_a_file_is_said_with_its_field_where_it_has_one(tmp_path) -> None:
    (tmp_path / runs.NAME).write_text("{")
    with pytest.raises(CannotStart, match=r"reads \(Invalid JSON: EOF .*; problems: 1\)"):
        runs.load(tmp_path)
    (tmp_path / runs.NAME).write_text("{}")
    with pytest.raises(CannotStart, match=r"reads \(name: Field required; problems: \d+\)"):
        runs.load(tmp_path)


def test_a_field_that_this_version_does_not_know_is_refused(tmp_path) -> None:
    run = assemble(*every_event()).model_dump_json()
    (tmp_path / runs.NAME).write_text(run.replace('{"format"', '{"waived":true,"format"', 1))
    with pytest.raises(CannotStart, match="waived"):
        runs.load(tmp_path)


@pytest.mark.parametrize(("repeats", "noted"), [(UNEXPLAINED, True), (DISTURBED, False), (0, False)])
def test_a_pass_after_rounds_that_varied_without_a_cause_is_noted(repeats: int, noted: bool) -> None:
    undecided = finished("A", Outcome.INCONCLUSIVE, reason="too noisy", repeats=repeats)
    run = assemble(opened(planned("A")), started("A"), undecided, started("A", child=2), finished("A", child=2))
    assert (only(run).outcome, only(run).attempts) == (Outcome.PASSED, 2)
    assert [(each.reason, each.repeats) for each in only(run).earlier_attempts] == [("too noisy", repeats)]
    assert any("no other work was seen: A" in note for note in run.notes) == noted
    assert run.judgement.verdict is Verdict.REHEARSED, "attempts do not change the verdict"


def test_a_check_of_what_work_left_is_open_once_work_was_measured_again() -> None:
    after = started("B").model_copy(update={"stage": "after"})
    again = journal.Resumed(at=AT, rebooted=False)
    undecided = (started("A"), finished("A", Outcome.INCONCLUSIVE))
    run = assemble(opened(planned("A"), planned("B")), *undecided, after, finished("B"), again, started("A", child=2))
    assert (run.results[1].outcome, run.judgement.verdict) == (Outcome.NOT_RUN, Verdict.INCONCLUSIVE)
    assert "work was measured again" in run.results[1].reason
    assert [each.outcome for each in run.results[1].earlier_attempts] == [Outcome.PASSED]
