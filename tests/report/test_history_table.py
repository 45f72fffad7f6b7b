"""A machine is selected by its host name or the start of a GPU's UUID; bars fit any terminal."""

import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console
from suites.certified import past

from dgxcert.history.listed_run import Listed
from dgxcert.history.run_index import Known
from dgxcert.record.figures import Figure
from dgxcert.record.history_line import Earlier
from dgxcert.report import history_table

GOOD = Figure(name="matmul", label="matmul bf16", value=612.3, unit="TFLOP/s")
IN_32 = Figure(name="decode-32bit", label="decode fp32", value=9.87, unit="token/s")
FAILED = Figure(name="lora-tokens", label="LoRA bf16", value=41220.8, unit="token/s", failed=True)


def listed(run: Earlier, **about: Any) -> Listed:
    """A run of the Spark in a list."""
    usual: dict[str, Any] = {
        "folder": run.name,
        "id": "3f2a91c0",
        "gpus": ("NVIDIA GB10",),
        "profile": "dgx-spark",
        "tier": "standard",
        "figures": (GOOD, IN_32, FAILED),
    }
    return Listed(**dict(run), **usual | about)


RUNS = tuple(map(listed, past(12, slower_from=8)))


def lines(runs: Sequence[Listed], console: Console) -> list[str]:
    """What is printed of these runs."""
    history_table.show(Known(tuple(runs), {}, ()), runs, "", 20, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_run_is_a_row_with_its_figures_and_its_id() -> None:
    heading, first, *_, legend, count = lines(RUNS, Console(file=io.StringIO(), width=20))
    assert re.split("  +", heading) == [
        "started",
        "host",
        "GPU",
        "profile",
        "tier",
        "verdict",
        "matmul",
        "decode",
        "LoRA",
        "run",
    ]
    assert re.split("  +", first) == [
        *("2026-01-01 10:00", "spark-07", "GB10", "dgx-spark", "standard", "CERTIFIED"),
        *("612", "9.87 fp32", "41,221!", "3f2a91c0"),
    ]
    assert legend.startswith("matmul TFLOP/s, else token/s; bf16 and the large model if not said; ! failed")
    assert count == "12 runs of 1 machine"


def test_waivers_changes_and_what_was_not_measured_show() -> None:
    run = listed(past(1)[0].model_copy(update={"waived": 2}), gpus=("NVIDIA H200",) * 8, figures=())
    (row,) = [line for line in lines([run], Console(file=io.StringIO())) if "CERTIFIED" in line]
    assert re.split("  +", row)[2:] == [
        "8 x H200",
        "dgx-spark",
        "standard",
        "CERTIFIED",
        *"---",
        "3f2a91c0",
        "2 waived",
    ]


def test_without_runs_there_is_no_table() -> None:
    assert lines([], Console(file=io.StringIO())) == ["0 runs of 0 machines"]


def test_a_narrow_terminal_is_told_once_what_all_runs_share() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    same, heading, first, *_ = lines(RUNS, console)
    assert same == "every run: host spark-07, GPU GB10, profile dgx-spark, tier standard"
    assert "host" not in heading
    assert len(first) <= 80


@pytest.mark.parametrize("width", [60, 80])
def test_a_row_that_is_wider_than_the_terminal_has_its_figures_below(width: int) -> None:
    other = listed(past(1)[0].model_copy(update={"waived": 2}), profile="generic-nvidia", tier="burn-in")
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    printed = lines([*RUNS, other], console)
    assert max(map(len, printed[:-2])) <= width
    assert "  matmul 612, decode 9.87 fp32, LoRA 41,221!" in printed
    assert all(line.endswith("3f2a91c0") for line in printed if "CERTIFIED" in line)


def test_what_a_name_hides_is_escaped_before_columns_are_aligned() -> None:
    run = listed(past(1)[0].model_copy(update={"hostname": "spark\x1b[2J"}))
    assert any("spark\\x1b[2J  GB10" in line for line in lines([run], Console(file=io.StringIO())))


@pytest.mark.parametrize(
    ("machine", "selected"),
    [("", True), ("spark-07", True), ("GPU-5b", True), ("GPU-5b1f0c1d", True), ("GPU-", False), ("spark", False)],
)
def test_a_machine_is_selected_by_host_name_or_uuid(machine: str, selected: bool) -> None:
    assert history_table.is_of(RUNS[0], machine) is selected


def test_a_step_is_printed_with_what_changed() -> None:
    printed = io.StringIO()
    known = Known(RUNS, {"broken": "run.json cannot be read"}, ("cut",))
    history_table.show(known, RUNS, "spark-07", 20, Console(file=printed, width=200))
    text = printed.getvalue()
    assert "(changed: driver)" in text
    assert "slower since 2026-01-08T10-00-00Z-spark-07; driver 580.95.05 → 590.10" in text
    assert "not readable: broken: run.json cannot be read" in text
    assert "not finished: cut; continue it: dgxcert validate --resume cut" in text
    assert "12 runs of 1 machine" in text


def test_a_terminal_without_unicode_gets_plain_bars() -> None:
    encoded = io.BytesIO()
    file = io.TextIOWrapper(encoded, encoding="latin-1", errors="replace")
    history_table.show(Known(RUNS, {}, ()), RUNS, "spark-07", 20, Console(file=file, width=200))
    file.flush()
    assert "▁" not in encoded.getvalue().decode("latin-1")
    assert set(history_table.PLAIN_BARS) & set(encoded.getvalue().decode("latin-1"))
