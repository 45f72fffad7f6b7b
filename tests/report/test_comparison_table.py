"""A comparison on the terminal: other differences first, one row per benchmark, the reason of each that is missing."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from suites import timed_run
from suites.timed_run import DECODE

from dgxcert.history.comparison import Change, Compared
from dgxcert.outcome import Outcome
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import comparison_table


@pytest.fixture
def reference(tmp_path: Path) -> Run:
    return runs.load(timed_run.write(tmp_path / "monday"))


def printed(compared: list[Compared], run: Run, reference: Run | None, count: int = 1) -> list[str]:
    """The printed lines, their columns separated by one space."""
    console = Console(file=io.StringIO(), width=20)  # of a pipe: no line is wrapped or cut
    comparison_table.show(compared, run, reference, count, console)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_each_benchmark_has_a_row_with_its_change_and_tolerance(reference: Run) -> None:
    rows = [
        Compared(DECODE, Change.SLOWER, 0.0341, 0.0215),
        Compared("MATMUL-SPEED[bf16]", Change.SAME, -0.002, 0.02),
        Compared("PREFILL-SPEED[nf4]", Change.INCOMPARABLE, reason="GPU 0 was shared"),
    ]
    assert printed(rows, reference, reference) == [
        "monday compared with monday",
        "benchmark takes allowed",
        f"{DECODE} slower +3.4% ±2.1%",
        "MATMUL-SPEED[bf16] same -0.2% ±2.0%",
        "PREFILL-SPEED[nf4] not comparable",
        "PREFILL-SPEED[nf4]: not comparable: GPU 0 was shared",
        "1 same, 1 slower, 0 faster, 0 missing, 1 not comparable. Changes within `allowed` are not detected.",
    ]


def test_without_a_reference_run_the_baseline_is_named_with_its_number_of_runs(reference: Run) -> None:
    first = printed([], reference, None, 5)[0]
    assert first == "monday compared with the baseline of its machine and image (5 runs)"


def test_differences_name_the_gpus_image_profile_suite_and_packages_that_changed(reference: Run) -> None:
    assert comparison_table.differences(reference, reference) == {}
    assert comparison_table.differences(None, reference) == {}
    changed = reference.model_copy(
        update={
            "image": None,
            "profile_sha256": "f" * 64,
            "suite": reference.suite.model_copy(update={"sha256": "e" * 64}),
            "machine": reference.machine.model_copy(update={"driver": "590.10"}),
        }
    )
    assert reference.image is not None
    assert comparison_table.differences(reference, changed) == {
        "driver": ("580.95.05", "590.10"),
        "image": (reference.image.id, "none"),
        "profile": (reference.profile_sha256[:12], "f" * 12),
        "suite": (reference.suite.sha256[:12], "e" * 12),
    }


@pytest.mark.parametrize(("reason", "lacking"), [("not in this run", "run"), ("not in the reference", "reference")])
def test_a_missing_benchmark_is_explained_by_the_run_that_lacks_it(
    reference: Run, tmp_path: Path, reason: str, lacking: str
) -> None:
    unread = runs.load(timed_run.write(tmp_path / "tuesday", outcome=Outcome.INCONCLUSIVE))
    pair = (unread, reference) if lacking == "run" else (reference, unread)
    lines = printed([Compared(DECODE, Change.MISSING, reason=reason)], *pair)
    assert f"{DECODE}: missing: {reason}, where it was inconclusive: a reason" in lines


def test_a_benchmark_that_a_run_never_planned_is_missing_without_an_outcome(reference: Run) -> None:
    lines = printed([Compared("LORA-SPEED[x]", Change.MISSING, reason="not in this run")], reference, reference)
    assert "LORA-SPEED[x]: missing: not in this run" in lines
