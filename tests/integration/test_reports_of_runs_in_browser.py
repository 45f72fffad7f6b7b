"""The reports of real runs in Chromium: a rehearsal, measured H200s, and a machine that fails."""

import re
from pathlib import Path
from typing import Any

import pytest
from chromium import Visit, axe
from suites import kept_runs

from dgxcert.record.run import Run
from dgxcert.report import html

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
RUNS = ("rehearsal", "h200", "stuck_spark")
VERDICTS = {"rehearsal": "REHEARSED", "h200": "PARTIAL", "stuck_spark": "REJECTED"}


@pytest.fixture(scope="module", params=RUNS)
def run(request: pytest.FixtureRequest) -> Run:
    """Each of the runs in turn."""
    made: Run
    if request.param == "stuck_spark":
        made = request.getfixturevalue("stuck_spark")
    else:
        made = {"rehearsal": kept_runs.rehearsal, "h200": kept_runs.h200}[request.param]()
    assert made.judgement.verdict.value == VERDICTS[request.param]
    return made


@pytest.fixture(scope="module")
def report(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html.render(run), encoding="utf-8")
    return path


@pytest.mark.parametrize(("scheme", "size"), [("dark", PHONE), ("light", DESK)], ids=["dark-phone", "light-desk"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    browser: Any, report: Path, scheme: str, size: dict[str, int]
) -> None:
    visit = Visit(browser, report, color_scheme=scheme, viewport=size)
    page = visit.page
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    visit.require_silence()


def test_what_matters_most_comes_first(browser: Any, report: Path, run: Run) -> None:
    page = Visit(browser, report, viewport=DESK).page
    shown = [heading.inner_text() for heading in page.locator("h2").all() if heading.is_visible()]
    open_ones = any(result.outcome.value == "failed" for result in run.results)
    expected = ["Headline figures", *(["What did not pass"] if open_ones else []), "Plots", "Requirements"]
    assert shown[: len(expected)] == expected
    last = page.locator("dl.figures div").last.bounding_box()
    assert last["y"] + last["height"] < DESK["height"], "every headline figure is on the first screen"


def test_what_was_not_measured_is_folded_by_reason(browser: Any, report: Path, run: Run) -> None:
    page = Visit(browser, report, viewport=PHONE).page
    apart = [each for each in run.results if not each.wanted or each.outcome.value == "not_applicable"]
    assert apart
    assert page.locator(".requirement.not_applicable").count() == 0
    counted = [int(each.inner_text()) for each in page.locator(".fold summary strong").all()]
    assert sum(counted) == len(apart)
    reasons = {(each.outcome, each.reason) for each in apart}
    assert len(counted) == len(reasons)
    assert not page.locator(".fold li").first.is_visible()
    page.locator(".fold summary").first.click()
    assert page.locator(".fold li").first.is_visible()


def test_it_prints_to_two_pages_with_every_figure(browser: Any, report: Path, tmp_path: Path) -> None:
    page = Visit(browser, report, color_scheme="dark").page
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page[^s]", (tmp_path / "report.pdf").read_bytes())) == 2
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert all(figure.is_visible() for figure in page.locator("dl.figures div").all())
    assert page.locator(".brief").bounding_box()["height"] > 200


def test_no_workload_hides_a_name_of_the_roofline(browser: Any, report: Path) -> None:
    page = Visit(browser, report, viewport=DESK).page
    hidden = page.evaluate(
        """() => [...document.querySelectorAll('#plot-roofline svg')].flatMap(svg => {
             const marks = [...svg.querySelectorAll('use')].map(each => each.getBoundingClientRect())
             return [...svg.querySelectorAll('text')].filter(text => {
               const a = text.getBoundingClientRect()
               return marks.some(b => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
                 Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2) }).map(each => each.textContent) })"""
    )
    assert hidden == []


def test_an_outcome_that_none_had_is_not_told_in_its_colour(browser: Any, report: Path, run: Run) -> None:
    page = Visit(browser, report, viewport=DESK).page
    quiet = page.locator(".small").first.evaluate("each => getComputedStyle(each).color")
    for outcome, number in run.judgement.counts.items():
        colour = page.locator(f".counts li.{outcome}").evaluate("each => getComputedStyle(each).color")
        assert (colour == quiet) == (number == 0), outcome


def test_texts_of_a_plot_do_not_collide(browser: Any, report: Path) -> None:
    page = Visit(browser, report, viewport=PHONE).page
    collisions = page.evaluate(
        """() => [...document.querySelectorAll('.plot svg')].flatMap(svg => {
             const texts = [...svg.querySelectorAll('text')].map(
               each => [each.textContent, each.getBoundingClientRect()])
             return texts.flatMap(([one, a], at) => texts.slice(at + 1).filter(([, b]) =>
               Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
               Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5).map(([other]) => [one, other])) })"""
    )
    assert collisions == []


def test_the_same_run_gives_the_same_bytes(report: Path, run: Run) -> None:
    again = Run.model_validate_json(run.model_dump_json())
    assert html.render(again) == report.read_text(encoding="utf-8")
