"""The README's picture is that of the script: of its size, small, and of a run that the kept measurements give."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from paths import ROOT
from PIL import Image
from suites import kept_runs

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record.figures import figures

MOST_BYTES = 400_000


@pytest.fixture
def report_picture(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("report_picture")


def test_the_picture_has_the_size_that_is_drawn_and_stays_small(report_picture: ModuleType) -> None:
    with Image.open(report_picture.PICTURE) as picture:
        assert picture.size == (2 * report_picture.WIDTH + report_picture.GAP, report_picture.HEIGHT)
    assert report_picture.PICTURE.stat().st_size < MOST_BYTES


def test_both_kept_runs_are_one_partial_run_of_what_either_measured() -> None:
    run = kept_runs.h200()
    assert run.judgement.verdict is Verdict.PARTIAL
    outcomes = {result.outcome for result in run.results}
    assert outcomes == {Outcome.PASSED, Outcome.NOT_APPLICABLE, Outcome.NOT_RUN}
    named = {figure.name: round(figure.value, 1) for figure in figures(run)}
    assert (named["matmul"], named["decode-16bit"], named["lora-steps"]) == (674.9, 212.6, 2.8)
    deselected = [result.key for result in run.results if result.outcome is Outcome.NOT_RUN]
    assert {"CLOCK-SYNCHRONISED", "HUB-REACHABLE", "WEIGHTS-LOAD[mmap]"} <= set(deselected)
    assert all(not result.wanted for result in run.results if result.key in deselected)


def test_a_palette_changes_no_size_and_little_else(report_picture: ModuleType, tmp_path: Path) -> None:
    png = tmp_path / "page.png"
    Image.new("RGB", (40, 30), "#b3141d").save(png)
    (tmp_path / "small.png").write_bytes(report_picture.small(png.read_bytes()))
    with Image.open(tmp_path / "small.png") as made:
        assert made.size == (40, 30)
        assert made.convert("RGB").getpixel((5, 5)) == pytest.approx((0xB3, 0x14, 0x1D), abs=2)
