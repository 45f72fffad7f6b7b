"""The terminal shows what was measured and required, each problem once with its remedy, and last the verdict."""

import io

import pytest
from rich.console import Console
from suites.example import MACHINE, finished, opened, planned

from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Outcome
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import markdown, terminal


def shown(run: Run, width: int = 80, folder: str = "results/run") -> str:
    console = Console(file=io.StringIO(), width=width)
    terminal.show(run, console, folder)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_problem_shows_measured_required_sources_and_remedy(run: Run) -> None:
    printed = shown(run, width=200)
    assert "FAILED SHORT[int4]\ndecode is 9.8 token/s, required >= 13 token/s\n" in printed
    assert "  measured: median of 10 rounds\n" in printed
    assert "  required: limit decode.fp16: 85 % of 273 GB/s\n" in printed
    assert "--- SHORT[int4]: what to do ---\n1. fix SHORT\n" in printed
    assert "why it matters: why of SHORT" in printed


def test_it_ends_with_counts_verdict_and_folder(run: Run) -> None:
    assert shown(run).splitlines()[-3:] == [
        "1 passed, 1 failed, 2 inconclusive, 1 not applicable, 2 not run",
        "REJECTED (limits: 0 measured, 0 published, 0 derived): "
        "at least one requirement was measured and does not hold (exit 1)",
        "kept in results/run",
    ]


def test_one_problem_of_several_requirements_is_shown_once(run: Run) -> None:
    assert shown(run).count("the driver is stuck") == 1
    assert "INCONCLUSIVE UNSEEN, UNREAD\n" in shown(run)


@pytest.mark.parametrize("width", [40, 80])
def test_no_key_is_truncated_or_read_as_markup(run: Run, width: int) -> None:
    assert "SHORT[int4]" in shown(run, width).partition("FAILED")[0]
    assert shown(run, folder="/tmp/[red]/run").endswith("kept in /tmp/[red]/run\n")


def test_control_characters_are_escaped(hostile: Run) -> None:
    assert not set(shown(hostile)) & set("\x1b\x07\x00\u202e")


@pytest.mark.parametrize(
    ("gpus", "hint"), [((), True), ((Gpu(index=0, product="GB10", uuid="u", compute_capability="12.1"),), False)]
)
def test_rehearsing_is_suggested_only_where_there_is_no_gpu(gpus: tuple[Gpu, ...], hint: bool) -> None:
    machine = MACHINE.model_copy(update={"gpus": gpus})
    run = runs.assemble(
        [opened(planned("GPU-PRESENT"), machine=machine), finished("GPU-PRESENT", Outcome.FAILED)], "run"
    )
    assert ("make validate PROFILE=cpu" in shown(run, 200)) is hint
    assert ("make validate PROFILE=cpu" in markdown.render(run)) is hint


def test_no_rehearsal_is_suggested_for_another_failure(run: Run) -> None:
    assert "make validate PROFILE=cpu" not in shown(run)


def test_deselected_and_inapplicable_requirements_have_their_reason(run: Run) -> None:
    (reason,) = {result.reason for result in run.results if result.outcome is Outcome.NOT_RUN and not result.wanted}
    printed = shown(run, 200)
    assert f"not run, {reason}: " in printed
    assert [line for line in printed.splitlines() if line.startswith("not applicable, ")]
