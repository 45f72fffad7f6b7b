"""The report in Chromium: opened from a file, light and dark, narrow and wide, by keyboard, and printed."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chromium import Visit, axe
from suites.report_runs import busy, hostile, many, whole

from dgxcert.record.run import Run
from dgxcert.report import html

SCHEMES, WIDTHS = ("light", "dark"), (360, 390, 1280)
LEAST_TEXT_PX = 11.0
"""Smaller text is not read on a phone."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html.render(whole()), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_opens_from_a_file_without_messages_or_requests(browser: Any, report: Path, scheme: str, width: int) -> None:
    visit = Visit(browser, report, color_scheme=scheme, viewport={"width": width, "height": 800})
    page = visit.page
    assert page.locator("h1").is_visible()
    assert page.title().startswith("REJECTED: spark-07")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page must not scroll sideways"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    visit.require_silence()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_plots_are_visible_and_have_alternatives(browser: Any, report: Path, scheme: str) -> None:
    page = Visit(browser, report, color_scheme=scheme, viewport={"width": 1280, "height": 800}).page
    plots = page.locator("figure [role=img]")
    assert plots.count() == 4
    for at in range(plots.count()):
        assert len(plots.nth(at).get_attribute("aria-label")) > 80
        box = plots.nth(at).locator("svg").bounding_box()
        assert 400 < box["width"] < 520
        assert box["height"] > 60
        ink = plots.nth(at).locator("svg text").first.evaluate("each => getComputedStyle(each).fill")
        assert ink == page.evaluate("getComputedStyle(document.body).color"), "text must have the page's own colour"


@pytest.mark.parametrize("make", [whole, busy])
def test_a_phone_shows_every_plot_whole_and_its_text_can_be_read(
    browser: Any, tmp_path: Path, make: Callable[[], Run]
) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.render(make()), encoding="utf-8")
    page = Visit(browser, path, viewport={"width": 390, "height": 844}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for plot in page.locator(".plot, .bars table").all():
        box = plot.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert plot.evaluate("each => each.scrollWidth <= each.clientWidth"), "nothing of it must scroll sideways"
    sizes = page.evaluate(
        """() => [...document.querySelectorAll('.plot svg text')].map(each => {
             const svg = each.closest('svg');
             return parseFloat(getComputedStyle(each).fontSize) * svg.getBoundingClientRect().width
               / svg.viewBox.baseVal.width; })"""
    )
    assert sizes
    assert min(sizes) >= LEAST_TEXT_PX


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(browser: Any, report: Path, scheme: str) -> None:
    page = Visit(browser, report, color_scheme=scheme).page
    assert axe(page) == []
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert axe(page) == []


def test_a_keyboard_is_enough(browser: Any, report: Path) -> None:
    page = Visit(browser, report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the requirements"
    page.keyboard.press("Enter")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open") is True
    assert page.locator("details[open] .title").first.is_visible()


@pytest.mark.parametrize("make", [whole, busy, many, hostile])
def test_it_prints_to_two_pages(browser: Any, tmp_path: Path, make: Callable[[], Run]) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.render(make()), encoding="utf-8")
    page = Visit(browser, path, color_scheme="dark").page
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    pages = re.findall(rb"/Type\s*/Page[^s]", (tmp_path / "report.pdf").read_bytes())
    assert len(pages) == 2
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".brief h2").is_visible()
    height = page.locator(".brief").bounding_box()["height"]
    assert height > 200, "the list of requirements needs space however many problems there are"


def test_hostile_text_has_no_effect(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.render(hostile()), encoding="utf-8")
    visit = Visit(browser, path, viewport={"width": 360, "height": 800})
    assert "<script>alert(1)</script>" in visit.page.locator("pre").first.text_content()
    assert visit.page.locator("script, img").count() == 0
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    visit.require_silence()


def test_ten_thousand_requirements_are_still_a_page(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.render(many()), encoding="utf-8")
    visit = Visit(browser, path)
    assert visit.page.locator("details.failed").count() == 100
    visit.require_silence()
