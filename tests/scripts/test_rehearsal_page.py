"""docs/rehearsal.md is what today's code prints of two kept rehearsals, and as short as it says."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
from paths import ROOT

PAGE = ROOT / "docs" / "rehearsal.md"
sys.path.insert(0, str(ROOT / "scripts"))
rehearsal_page, replayed_run = (importlib.import_module(name) for name in ("rehearsal_page", "replayed_run"))
sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def blocks() -> list[list[str]]:
    """The texts between fences of the page: live lines, terminal, pipe."""
    return [text.strip("\n").split("\n") for text in PAGE.read_text(encoding="utf-8").split("```")[1::2]]


def test_the_page_is_what_the_code_prints_of_the_kept_rehearsals() -> None:
    assert PAGE.read_text(encoding="utf-8") == rehearsal_page.page(), "regenerate it: make docs"


def test_a_terminal_of_80_columns_shows_at_most_40_lines_after_the_end(blocks: list[list[str]]) -> None:
    assert 20 < len(blocks[1]) <= rehearsal_page.MOST_SHOWN
    assert max(map(len, blocks[1])) <= rehearsal_page.COLUMNS


def test_a_pipe_gets_at_most_100_lines_with_every_requirement(blocks: list[list[str]]) -> None:
    assert len(blocks[2]) <= rehearsal_page.MOST_PIPED
    passed = [match[1] for line in blocks[2] if (match := re.match(r" +PASSED +\d+/\d+  \w+ +([A-Z0-9-]+)", line))]
    kept = replayed_run.read(rehearsal_page.KEPT)
    measured = {result["id"] for result in kept["results"] if result["outcome"] == "passed"}
    assert set(passed) == measured
    assert len(passed) <= 1.05 * len(measured), "one line for each, and few for cases that were measured again"


def test_it_is_a_whole_rehearsal_and_no_subset(blocks: list[list[str]]) -> None:
    kept = replayed_run.read(rehearsal_page.KEPT)
    options = kept["options"]
    assert (kept["judgement"]["verdict"], options["only"], options["tier"]) == ("REHEARSED", [], "standard")
    assert all(any(line.startswith("REHEARSED") for line in block) for block in blocks[1:])


def test_the_live_lines_are_on_one_line_of_the_terminal(blocks: list[list[str]]) -> None:
    assert len(blocks[0]) == len(rehearsal_page.SHARES)
    for line in blocks[0]:
        assert rehearsal_page.LIVE_LINE.fullmatch(line)
        assert len(line) <= rehearsal_page.COLUMNS


def test_nothing_names_the_machine_that_recorded() -> None:
    text = (rehearsal_page.KEPT / "run.json").read_text(encoding="utf-8")
    assert not re.search(r"/(?:tmp|work|root|home)/", text)
    machine = json.loads(text)["machine"]
    assert (machine["hostname"], machine["boot_id"], machine["serial"]) == (rehearsal_page.CALLED, None, None)


def test_a_text_is_cut_into_the_lines_of_a_terminal_and_left_whole_in_a_pipe() -> None:
    assert rehearsal_page.on_screen("abcdef\n\ngh\n", 4) == ["abcd", "ef", "", "gh"]
    assert rehearsal_page.on_screen("abcdef\n\ngh\n", None) == ["abcdef", "", "gh"]


def test_what_was_seen_otherwise_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes((rehearsal_page.KEPT / "run.json").read_bytes())
    told = rehearsal_page.shown(replayed_run.read(tmp_path), 80, terminal_=True, folder=tmp_path)
    rehearsal_page.compare(tmp_path, told, terminal_=True)
    assert "the very ones" in capsys.readouterr().out
    rehearsal_page.compare(tmp_path, [*told[:-1], "other words"], terminal_=True)
    assert capsys.readouterr().out.splitlines()[-1] == "+other words"


def test_private_paths_are_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = tmp_path / "2026-11-30T10-00-00Z-host"
    run.mkdir()
    text = (rehearsal_page.KEPT / "run.json").read_text(encoding="utf-8")
    (run / "run.json").write_text(text.replace("~/dgxcert/.venv", "/home/ada/dgxcert/.venv"), encoding="utf-8")
    monkeypatch.setattr(rehearsal_page, "KEPT", tmp_path / "kept")
    rehearsal_page.keep(run, str(tmp_path))
    assert "/home/ada" not in (tmp_path / "kept" / "run.json").read_text(encoding="utf-8")
