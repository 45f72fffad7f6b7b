"""A machine is selected by its host name or the start of a GPU's UUID; bars fit any terminal."""

import io

import pytest
from rich.console import Console
from suites.certified import past

from dgxcert.history.run_index import Known
from dgxcert.report import history_table

RUNS = past(12, slower_from=8)


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
    assert "not finished: cut; continue it with --resume" in text
    assert "12 runs of 1 machine" in text


def test_a_terminal_without_unicode_gets_plain_bars() -> None:
    encoded = io.BytesIO()
    file = io.TextIOWrapper(encoded, encoding="latin-1", errors="replace")
    history_table.show(Known(RUNS, {}, ()), RUNS, "spark-07", 20, Console(file=file, width=200))
    file.flush()
    assert "▁" not in encoded.getvalue().decode("latin-1")
    assert set(history_table.PLAIN_BARS) & set(encoded.getvalue().decode("latin-1"))
