"""The checklist: only requirements that passed make a row ready."""

import io

import pytest
from rich.console import Console
from suites.example import finished, opened, planned, started

from dgxcert.outcome import Outcome
from dgxcert.profiles import prerequisites
from dgxcert.profiles.prerequisites import Row
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import readiness
from dgxcert.report.readiness import Line, Mark

ROWS = prerequisites.load()
ROW = Row(
    sentence="doing it",
    proof="it is done here",
    question="What is it?",
    proved_by=("A", "B[two]"),
    review="Lesson: it",
    snippet="python it.py",
)


def run_of(*events: journal.Event, **about: object) -> Run:
    plan = about.get("plan", (planned("A"), planned("B[one]"), planned("B[two]")))
    return runs.assemble([opened(*plan), *events], "run")  # type: ignore[misc]


def line(*events: journal.Event, **about: object) -> Line:
    (only,) = readiness.checklist(run_of(*events, **about), (ROW,))
    return only


def passed(*keys: str) -> list[journal.Event]:
    return [finished(key) for key in keys]


def shown(run: Run, *rows: Row, encoding: str = "utf-8") -> str:
    bytes_ = io.BytesIO()
    file = io.TextIOWrapper(bytes_, encoding=encoding)
    readiness.show(run, readiness.checklist(run, rows or (ROW,)), Console(file=file, width=60), "results/run")
    file.flush()
    return bytes_.getvalue().decode(encoding)


def test_only_passes_make_a_row_ready() -> None:
    assert line(*passed("A", "B[two]")) == Line(ROW, Mark.READY, (), ())


def test_another_key_of_the_same_requirement_does_not_count() -> None:
    failed = finished("B[one]", Outcome.FAILED, reason="wrong")
    assert line(*passed("A", "B[two]"), failed).mark is Mark.READY
    assert line(*passed("A", "B[one]")).mark is Mark.UNKNOWN


def test_every_gpu_counts_for_a_row() -> None:
    plan = (planned("A[gpu0]"), planned("A[gpu1]"), planned("B[two-gpu0]"), planned("B[two-gpu1]"))
    keys = [entry.key for entry in plan]
    assert line(*passed(*keys), plan=plan).mark is Mark.READY
    assert line(*passed(*keys[:-1]), plan=plan).mark is Mark.UNKNOWN
    broken = finished(keys[1], Outcome.FAILED, reason="wrong on it")
    assert line(broken, *passed(keys[0], *keys[2:]), plan=plan).reasons == ("A[gpu1]: wrong on it",)


def test_a_failure_makes_a_row_not_ready_whatever_else_passed() -> None:
    failed = finished("A", Outcome.FAILED, reason="9.8 is too little\n  measured: here", remedy=("look", "fix"))
    unseen = finished("B[two]", Outcome.INCONCLUSIVE, reason="stuck")
    for others in (passed("B[two]"), [unseen], []):
        checked = line(failed, *others)
        assert checked.mark is Mark.NOT_READY
        assert checked.reasons[0] == "A: 9.8 is too little"
        assert checked.remedy == ("look", "fix")


def test_an_inconclusive_requirement_leaves_a_row_not_checked() -> None:
    checked = line(*passed("A"), finished("B[two]", Outcome.INCONCLUSIVE, reason="stuck", remedy=("restart",)))
    assert checked == Line(ROW, Mark.UNKNOWN, ("B[two]: stuck",), ("restart",))


@pytest.mark.parametrize("events", [[], [started("A")], [*passed("A"), started("B[two]")]])
def test_a_requirement_that_the_run_did_not_reach_leaves_a_row_not_checked(events: list[journal.Event]) -> None:
    checked = line(*events)
    assert checked.mark is Mark.UNKNOWN
    assert "the run ended before it was measured" in checked.reasons[-1]


def test_a_deselected_requirement_is_a_reason() -> None:
    plan = (planned("A"), planned("B[two]", not_run="deselected by --only"))
    assert line(*passed("A"), plan=plan).reasons == ("B[two]: deselected by --only",)


@pytest.mark.parametrize("there", [(), ("A",)])
def test_a_requirement_that_is_not_in_the_run_is_a_reason(there: tuple[str, ...]) -> None:
    plan = (planned("ANOTHER"), *(planned(key) for key in there))
    checked = line(*passed("ANOTHER", *there), plan=plan)
    assert checked.mark is Mark.UNKNOWN
    assert checked.reasons[-1] == "B[two]: this run did not measure it"


def test_only_the_profile_makes_a_row_not_applicable() -> None:
    plan = (planned("A", not_applicable="no GPU here"), planned("B[two]", not_applicable="no GPU here"))
    checked = line(plan=plan)
    assert (checked.mark, checked.reasons) == (Mark.NOT_APPLICABLE, ("A: no GPU here", "B[two]: no GPU here"))
    half = (planned("A", not_applicable="no GPU here"), planned("B[two]"))
    assert line(*passed("B[two]"), plan=half) == Line(ROW, Mark.READY, ("A: no GPU here",), ())
    assert line(plan=half).mark is Mark.UNKNOWN


OTHER = Row(sentence="doing more", proof="more", proved_by=("C",), review="Lesson: more", snippet="more")


@pytest.mark.parametrize(
    ("a", "c", "code"),
    [
        (Outcome.PASSED, Outcome.PASSED, 0),
        (Outcome.PASSED, Outcome.FAILED, 1),
        (Outcome.INCONCLUSIVE, Outcome.FAILED, 1),
        (Outcome.PASSED, Outcome.INCONCLUSIVE, 2),
    ],
)
def test_the_exit_code_is_that_of_the_worst_row(a: Outcome, c: Outcome, code: int) -> None:
    run = run_of(finished("A", a), finished("B[two]"), finished("C", c), plan=(*map(planned, ("A", "B[two]", "C")),))
    assert readiness.exit_code(run, readiness.checklist(run, (ROW, OTHER))) == code


def test_a_run_that_failed_elsewhere_or_measured_nothing_never_exits_with_0() -> None:
    plan = (*map(planned, ("A", "B[two]", "ANOTHER")),)
    elsewhere = run_of(*passed("A", "B[two]"), finished("ANOTHER", Outcome.FAILED), plan=plan)
    assert readiness.exit_code(elsewhere, readiness.checklist(elsewhere, (ROW,))) == 1
    nothing = run_of(plan=(planned("A", not_applicable="no"), planned("B[two]", not_applicable="no")))
    assert readiness.exit_code(nothing, readiness.checklist(nothing, (ROW,))) == 2
    assert readiness.exit_code(run_of(*passed("A", "B[one]", "B[two]")), ()) == 2


def test_a_row_shows_what_was_checked_what_is_left_to_the_student_and_the_lesson() -> None:
    text = shown(run_of(*passed("A", "B[two]"), finished("B[one]")))
    assert "✔ doing it                   checked: it is done here           it" in text
    assert "                             for you: What is it?\n" in text
    assert "not what you know" in text
    assert "try:" not in text
    assert "Ready: start with the module. (exit 0)" in text


def test_a_row_that_is_not_ready_shows_reasons_first_steps_and_what_to_try() -> None:
    text = shown(run_of(finished("A", Outcome.FAILED, reason="too little", remedy=("look", "fix", "ask"))))
    for words in ("✘ doing it                   not ready: it is done here", "A: too little", "1. look", "2. fix"):
        assert words in text
    assert "try: python it.py" in text
    assert "3. ask" not in text
    assert "(exit 1)" in text
    assert "kept in results/run" in text
    text = shown(run_of())
    assert "? doing it                   not checked: it is done here" in text
    assert "try:" not in text
    assert "(exit 2)" in text


def test_without_a_gpu_a_student_can_practise_and_is_not_ready() -> None:
    plan = (planned("A", not_applicable="no GPU here"), planned("B[two]", not_applicable="no GPU here"), planned("C"))
    text = shown(run_of(*passed("C"), plan=plan), ROW, OTHER)
    assert "- doing it                   does not apply: it is done here" in text
    assert "Ready to practise; not the machine of the course. (exit 0)" in text
    assert "Ready: start" not in text


def test_a_terminal_without_unicode_gets_plain_signs() -> None:
    reason = "82 °C\x1b[2J"
    text = shown(run_of(finished("A", Outcome.FAILED, reason=reason), *passed("B[two]")), encoding="ascii")
    assert "x doing it                   not ready:" in text
    assert "82 ?C\\x1b[2J" in text
    assert "+ doing it                   checked:" in shown(run_of(*passed("A", "B[two]")), encoding="latin-1")


def test_the_table_is_80_characters_wide_and_loses_no_word() -> None:
    plan = tuple(planned(name) for row in ROWS for name in row.proved_by)
    text = shown(run_of(*passed(*(entry.key for entry in plan)), plan=plan), *ROWS)
    assert max(map(len, text.splitlines())) <= 80
    for row in ROWS:
        for word in " ".join((row.sentence, row.proof, row.question, row.review.removeprefix("Lesson: "))).split():
            assert word in text
