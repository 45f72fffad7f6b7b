"""The list of requirements is whole: a line each in a pipe, by group with its cases on a terminal of any width."""

import io

import pytest
from paths import ROOT
from rich.console import Console
from suites.example import planned

from dgxcert.plan import suite
from dgxcert.plan.catalogue import Entry
from dgxcert.plan.selection import any_gpu
from dgxcert.report import requirement_table


def shown(entries: list[Entry], *, width: int, terminal: bool) -> list[str]:
    printed = io.StringIO()
    requirement_table.show(entries, Console(file=printed, width=width, force_terminal=terminal, color_system=None))
    return printed.getvalue().splitlines()


@pytest.fixture(scope="module")
def catalogue() -> list[Entry]:
    return suite.collect(ROOT, gpus=1)


def test_a_row_has_group_key_tier_and_title() -> None:
    lines = shown([planned("DECODE-SPEED[int4]"), planned("GPU-PRESENT[gpu0]")], width=120, terminal=False)
    assert lines == [
        "group  requirement         tier   what must be true",
        "gpu    DECODE-SPEED[int4]  quick  title of DECODE-SPEED",
        "gpu    GPU-PRESENT         quick  title of GPU-PRESENT",
    ]


@pytest.mark.parametrize("width", [20, 80])
def test_in_a_pipe_every_requirement_is_one_whole_line(catalogue: list[Entry], width: int) -> None:
    head, *rows = shown(catalogue, width=width, terminal=False)
    assert [row.split(maxsplit=3) for row in rows] == [
        [entry.group, any_gpu(entry.key), entry.tier.value, entry.title] for entry in catalogue
    ]
    starts = {
        head.index("tier"),
        *(row.index(f" {entry.tier.value} ") + 1 for row, entry in zip(rows, catalogue, strict=True)),
    }
    assert len(starts) == 1


def test_on_a_terminal_of_80_columns_nothing_is_cut_and_no_line_is_longer(catalogue: list[Entry]) -> None:
    lines = shown(catalogue, width=80, terminal=True)
    assert max(map(len, lines)) <= 80
    words = " ".join(" ".join(lines).split())
    for entry in catalogue:
        assert f"{entry.id} {entry.tier.value} {entry.title}" in words
        assert any_gpu(entry.key).removeprefix(entry.id) in words


def test_on_a_terminal_an_id_is_shown_once_with_its_cases() -> None:
    entries = [planned("DECODE-SPEED[int4]"), planned("GPU-PRESENT[gpu0]"), planned("DECODE-SPEED[bf16]")]
    assert shown(entries, width=80, terminal=True) == [
        "",
        "gpu (2)",
        "  DECODE-SPEED  quick  title of DECODE-SPEED",
        "    [int4] [bf16]",
        "  GPU-PRESENT   quick  title of GPU-PRESENT",
    ]
