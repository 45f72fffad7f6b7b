"""The end of a run: machine, figures, groups, what did not pass, verdict, report and next command, on one screen."""

import io
from collections.abc import Callable
from datetime import date

import pytest
from rich.console import Console
from suites import kept_runs
from suites.certified import SPARK, events
from suites.example import MACHINE, finished, opened, planned

from dgxcert.console import PlainConsole
from dgxcert.judgement.verdict import Verdict
from dgxcert.machine.identity import Gpu
from dgxcert.machine.runtime import Runtime
from dgxcert.outcome import Outcome
from dgxcert.profiles.waivers import Waiver
from dgxcert.record import run as runs
from dgxcert.record.run import EarlierAttempt, Result, Run
from dgxcert.report import markdown, terminal
from dgxcert.report.terminal import Detail

MOST_LINES = 40


def shown(run: Run, width: int | None = None, folder: str = "results/run", detail: Detail = Detail.USUAL) -> str:
    """The screen as a pipe gets it, or as a terminal of that width does."""
    console = PlainConsole(
        file=io.StringIO(), width=width or 80, force_terminal=width is not None, color_system=None, highlight=False
    )
    terminal.show(run, console, folder, detail=detail)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(text: str, width: int = 80) -> int:
    """How many lines of a terminal a text takes."""
    return sum(-(-len(line) // width) or 1 for line in text.splitlines())


def test_the_parts_come_in_the_order_in_which_a_lab_reads_them(run: Run) -> None:
    printed = shown(kept_runs.load("2026-11-27-h200/first"))
    parts = (
        "machine  vm",
        "GPU      NVIDIA H200, 140 GiB; driver 580.159.04",
        "profile  h200, tier standard",
        "decode bf16            213 token/s   67%",
        "  benchmarks  19 passed",
        "FAILED CLOCK-SYNCHRONISED: The clock follows a reference",
        "note: interrupted by the user",
        "FAILED CLOCK-SYNCHRONISED - clock is synchronised is False",
        "93 passed, 1 failed",
        "REJECTED (limits: ",
        "kept in results/run (run ",
        "Once that is mended, to measure it again: make validate PROFILE=h200",
    )
    places = [printed.index(f"\n{part}") for part in parts]
    assert places == sorted(places)


def test_a_problem_shows_measured_required_and_the_first_step(run: Run) -> None:
    printed = shown(run)
    assert "\nFAILED SHORT[int4]: title of SHORT\n  decode is 9.8 token/s, required >= 13 token/s\n" in printed
    assert "  do: fix SHORT\n" in printed
    assert "limit decode.fp16" not in printed


def test_everything_shows_sources_reasons_and_every_requirement(run: Run) -> None:
    printed = shown(run, detail=Detail.EVERYTHING)
    assert "\nFAILED SHORT[int4]\n  decode is 9.8 token/s, required >= 13 token/s\n" in printed
    assert "    measured: median of 10 rounds\n" in printed
    assert "    required: limit decode.fp16: 85 % of 273 GB/s\n" in printed
    assert "--- SHORT[int4]: what to do ---\n1. fix SHORT\n" in printed
    assert "why it matters: why of SHORT" in printed
    listed = [line.split() for line in printed.splitlines()]
    for result in run.results:
        assert any(result.key in words and result.label.split()[0] in words for words in listed), result.key


def test_the_verdict_alone_comes_with_what_did_not_pass_in_a_line_each(run: Run) -> None:
    assert shown(run, detail=Detail.VERDICT).splitlines() == [
        "FAILED SHORT[int4] - decode is 9.8 token/s, required >= 13 token/s",
        "INCONCLUSIVE UNSEEN, UNREAD - the driver is stuck",
        "NOT RUN LOST - the run ended before it was measured",
        "REJECTED (limits: 0 measured, 0 published, 0 derived): "
        "at least one requirement was measured and does not hold (exit 1)",
    ]


def test_it_ends_with_failures_counts_verdict_folder_and_the_next_command(run: Run) -> None:
    assert shown(run).splitlines()[-5:] == [
        "FAILED SHORT[int4] - decode is 9.8 token/s, required >= 13 token/s",
        "1 passed, 1 failed, 2 inconclusive, 1 not applicable, 2 not run",
        "REJECTED (limits: 0 measured, 0 published, 0 derived): "
        "at least one requirement was measured and does not hold (exit 1)",
        f"kept in results/run (run {run.id})",
        "Once that is mended, to measure it again: make validate PROFILE=any-suite RUNTIME=native ONLY='SHORT[int4]'",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 200, None])
def test_the_line_of_the_verdict_is_one_line_at_any_width(run: Run, width: int | None) -> None:
    (line,) = [line for line in shown(run, width).splitlines() if line.startswith("REJECTED (limits: ")]
    assert line.endswith("does not hold (exit 1)")


def test_one_problem_of_several_requirements_is_shown_once(run: Run) -> None:
    assert shown(run).count("the driver is stuck") == 1
    assert "INCONCLUSIVE UNSEEN, UNREAD\n" in shown(run)


def many_failed(count: int) -> Run:
    """A run in which that many requirements failed, and as many could not be measured."""
    failed = [
        finished(f"F{at}", Outcome.FAILED, reason=f"{at} is too low", remedy=("look", "mend")) for at in range(count)
    ]
    unseen = [finished(f"U{at}", Outcome.INCONCLUSIVE, reason="there is no GPU 0 to measure") for at in range(count)]
    plan = [planned(f"{letter}{at}") for letter in "FU" for at in range(count)]
    return runs.assemble([opened(*plan), *failed, *unseen], "run")


def test_a_failing_run_grows_by_what_failed_alone() -> None:
    few, many = (rows(shown(many_failed(count), 80)) for count in (5, 10))
    assert many - few == 5 * 5, "headline, finding, step, a blank line, and the line at the end"


def test_of_many_requirements_with_one_reason_the_first_are_named() -> None:
    assert "INCONCLUSIVE U0, U1, U2 and 3 more\n  there is no GPU 0 to measure\n" in shown(many_failed(6))


@pytest.mark.parametrize("width", [40, 80, None])
def test_no_key_is_truncated_or_read_as_markup(run: Run, width: int | None) -> None:
    assert "FAILED SHORT[int4]" in shown(run, width)
    assert "kept in /tmp/[red]/run (run " in shown(run, folder="/tmp/[red]/run")


@pytest.mark.parametrize("detail", Detail)
@pytest.mark.parametrize("width", [80, None])
def test_control_characters_are_escaped_and_no_text_of_a_run_begins_a_line(
    hostile: Run, detail: Detail, width: int | None
) -> None:
    printed = shown(hostile, width, detail=detail)
    assert not set(printed) & set("\x1b\x07\x00\u202e")
    assert not [line for line in printed.splitlines() if line.startswith(("# CERTIFIED", "CERTIFIED", "GB10"))]


@pytest.mark.parametrize(
    ("gpus", "hint"), [((), True), ((Gpu(index=0, product="GB10", uuid="u", compute_capability="12.1"),), False)]
)
def test_rehearsing_is_suggested_only_where_there_is_no_gpu(gpus: tuple[Gpu, ...], hint: bool) -> None:
    machine = MACHINE.model_copy(update={"gpus": gpus})
    run = runs.assemble(
        [opened(planned("GPU-PRESENT"), machine=machine), finished("GPU-PRESENT", Outcome.FAILED)], "run"
    )
    assert ("make validate PROFILE=cpu" in shown(run)) is hint
    assert ("make validate PROFILE=cpu" in markdown.render(run)) is hint


def test_no_rehearsal_is_suggested_for_another_failure(run: Run) -> None:
    assert "make validate PROFILE=cpu" not in shown(run)


def test_a_group_has_one_line_with_its_numbers_and_the_commonest_reason(run: Run) -> None:
    (line,) = [line for line in shown(run).splitlines() if line.startswith("  gpu  ")]
    assert line == (
        "  gpu  1 passed, 1 failed, 2 inconclusive, 1 not applicable, 2 not run "
        "(the run ended before it was measured; and 2 other reasons)"
    )
    (narrow,) = [line for line in shown(run, 80).splitlines() if line.startswith("  gpu  ")]
    assert len(narrow) == 80
    assert narrow.startswith("  gpu  1 passed, 1 failed, 2 inconclusive, 1 not applicable, 2 not run (the ")
    assert "2 inconclusive, 1 not applicable, 2 not run" in " ".join(shown(run, 40).split()), "no number is cut"


def eight(change: Callable[[int], float] = lambda gpu: 1 - 0.004 * (5 * gpu % 8)) -> Run:
    """A machine of eight H200, made of the measurements of one: each reading multiplied by a factor of its GPU's."""
    first, second = (kept_runs.load(f"2026-11-27-h200/{name}") for name in ("first", "second"))
    results = {result.key: result for result in first.results}
    results |= {result.key: result for result in second.results if result.outcome is Outcome.PASSED}
    every: list[Result] = []
    for result in results.values():
        if result.outcome is Outcome.PASSED and result.group in ("benchmarks", "gpu"):
            every += [_of_gpu(result, gpu, change(gpu)) for gpu in range(8)]
        elif result.outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE):
            every.append(result)
    gpus = tuple(first.machine.gpus[0].model_copy(update={"index": gpu}) for gpu in range(8))
    counts = {outcome.value: sum(result.outcome is outcome for result in every) for outcome in Outcome}
    verdict = {"verdict": Verdict.CERTIFIED, "exit_code": 0, "counts": counts}
    changes = {
        "results": tuple(every),
        "machine": first.machine.model_copy(update={"gpus": gpus, "product": "NVIDIA DGX H200", "firmware": "1.05.3"}),
        "judgement": first.judgement.model_copy(update=verdict),
        "limits": {"measured": 31, "published": 24, "derived": 14},
        "notes": (),
    }
    return first.model_copy(update=changes)


def _of_gpu(result: Result, gpu: int, factor: float) -> Result:
    key = f"{result.key[:-1]}-gpu{gpu}]" if result.key.endswith("]") else f"{result.key}[gpu{gpu}]"
    evidence = tuple(
        item.model_copy(update={"value": item.value * factor}) if isinstance(item.value, float) else item
        for item in result.evidence
    )
    return result.model_copy(update={"key": key, "evidence": evidence})


def laden(run: Run) -> Run:
    """The run with three waivers, five requirements that were measured again, and six notes, all long."""
    reason = "models are on the share that the whole lab uses, until the disks that were ordered in October arrive"
    waiver = Waiver(requirement="DISK-SPACE", machine="vm", reason=reason, who="Ada Lovelace", until=date(2027, 1, 31))
    before = EarlierAttempt(
        outcome=Outcome.INCONCLUSIVE,
        reason="rounds spread 641%, and no other work was seen on this machine while it was timed",
        started=None,
        duration_s=1.0,
        log=None,
        repeats=1,
        evidence=(),
    )
    results = list(run.results)
    passed = [at for at, result in enumerate(results) if result.outcome is Outcome.PASSED]
    for at in passed[:3]:
        results[at] = results[at].model_copy(update={"outcome": Outcome.FAILED, "waiver": waiver})
    for at in passed[3:8]:
        results[at] = results[at].model_copy(update={"earlier_attempts": (before,)})
    notes = tuple(
        f"VARIABLE_{at}=expandable_segments:True is set, which can change what is measured" for at in range(6)
    )
    return run.model_copy(update={"results": tuple(results), "notes": notes})


def test_a_machine_of_eight_gpus_is_told_by_its_worst() -> None:
    printed = shown(eight())
    assert "GPU      8 x NVIDIA H200, 140 GiB; driver 580.159.04, CUDA 13.0\n" in printed
    assert "worst of 8 GPUs  of roofline\n" in printed
    assert "decode bf16                     207 token/s      65%          GPU 3, best 213\n" in printed
    assert "highest temperature             59 °C                         GPU 0, best 57.3\n" in printed


def test_gpus_that_are_alike_are_said_to_be() -> None:
    assert "213 token/s      67%          all alike\n" in shown(eight(lambda _: 1.0))


ALL_WELL: dict[str, Callable[[], Run]] = {
    "eight": eight,
    "eight, laden": lambda: laden(eight()),
    "one, laden": lambda: laden(runs.assemble(events(), "run")),
}


@pytest.mark.parametrize("made", ALL_WELL)
@pytest.mark.parametrize("width", [80, None])
def test_it_fits_on_one_screen_where_all_is_well(made: str, width: int | None) -> None:
    printed = shown(ALL_WELL[made](), width, folder="results/2026-11-27T01-49-10Z-vm")
    assert (rows(printed) if width else len(printed.splitlines())) <= MOST_LINES


@pytest.mark.parametrize("width", [80, None])
def test_what_does_not_fit_of_waivers_attempts_and_notes_is_counted(width: int | None) -> None:
    printed = shown(laden(eight()), width).splitlines()
    waived = [line for line in printed if " is failed; waived: " in line]
    more = [line for line in printed if line.startswith("and ") and line.endswith(" more: in summary.md")]
    remarks = [line for line in printed if line.startswith(("note: ", "again: "))]
    assert len(waived) == 3
    assert [int(line.split()[1]) for line in more] == [14 - 3 - len(remarks)]


def test_everything_shows_all_of_them() -> None:
    printed = shown(laden(eight()), detail=Detail.EVERYTHING)
    for words, count in (("note: VARIABLE_", 6), ("again: ", 5), (" is failed; waived: ", 3)):
        assert printed.count(words) == count


def test_lines_of_a_terminal_are_no_longer_than_it_is_but_what_is_copied() -> None:
    printed = shown(laden(eight()), 80).splitlines()
    longer = [line for line in printed if len(line) > 80]
    assert all(line.startswith(("CERTIFIED (", "To sign it: ", "kept in ")) for line in longer)


def test_a_pipe_gets_whole_lines() -> None:
    reason = ("word " * 100).strip()
    one = runs.assemble([opened(planned("A")), finished("A", Outcome.FAILED, reason=reason)], "run")
    assert f"  {reason}\n" in shown(one)
    assert f"FAILED A - {reason}\n" in shown(one)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {}])
def test_colours_are_off_where_nobody_wants_them(
    run: Run, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    terminal.show(run, console, "results/run")
    assert isinstance(console.file, io.StringIO)
    assert ("\x1b[1;31m" in console.file.getvalue()) is (not variables)
    assert "\x1b" not in shown(run)


def test_a_machine_with_a_stand_in_and_one_without_an_image_are_told_apart() -> None:
    made = runs.assemble(events(), "run")
    assert made.image is not None
    assert f"work     image {made.image.reference} {made.image.id[:19]}; weights seeded" in shown(made)
    standin = made.model_copy(update={"image": made.image.model_copy(update={"standin": True})})
    assert "its base is a stand-in; weights" in shown(standin)
    without = made.model_copy(update={"image": None})
    assert "work     this environment, no container; weights" in shown(without)
    docker = made.options.model_copy(update={"runtime": Runtime.DOCKER})
    assert "work     no image; weights" in shown(without.model_copy(update={"options": docker}))


def test_the_machine_is_named_with_product_and_firmware() -> None:
    (line,) = [line for line in shown(runs.assemble(events(), "run")).splitlines() if line.startswith("machine")]
    assert line == f"machine  spark-07, NVIDIA DGX Spark, firmware 5.36, kernel {SPARK.kernel}"


def test_a_reason_of_megabytes_is_shortened() -> None:
    one = runs.assemble([opened(planned("A")), finished("A", Outcome.FAILED, reason="x " * 1_000_000)], "run")
    for detail in Detail:
        assert len(shown(one, 80, detail=detail)) < 100_000


def test_without_a_folder_nothing_is_said_of_one(run: Run) -> None:
    assert "kept in" not in shown(run, folder="")
    assert shown(run, folder="").splitlines()[-1].startswith("REJECTED")


@pytest.mark.parametrize("detail", [Detail.USUAL, Detail.EVERYTHING])
def test_a_step_that_is_longer_than_the_terminal_is_copied_as_one_line(detail: Detail) -> None:
    step = (
        "Read it: python -c 'import torch; print(torch.version.cuda); torch.cuda.init()' 2>&1 | tail -1 | tee torch.txt"
    )
    failed = finished("A", Outcome.FAILED, reason="it is too low", remedy=(step, "mend"))
    printed = shown(runs.assemble([opened(planned("A")), failed], "run"), 80, detail=detail)
    assert step in printed
