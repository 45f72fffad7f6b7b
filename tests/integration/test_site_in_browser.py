"""The site page in Chromium: opened from files, light and dark, wide and on a phone, from page to page, and printed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Visit, axe
from suites import kept_runs
from suites.example import finished
from suites.report_runs import hostile
from suites.results_folder import fill, keep, machine, made

from dgxcert.files.atomic import write_text
from dgxcert.outcome import Outcome
from dgxcert.report import html
from dgxcert.site import machines, output, pages

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LOOKS = [
    pytest.param(viewport, scheme, id=f"{viewport['width']}-{scheme}")
    for viewport in (DESKTOP, PHONE)
    for scheme in ("light", "dark")
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of good, failing and hostile machines, of a kept run of an H200, and of odd folders."""
    from datetime import UTC, datetime

    place = tmp_path_factory.mktemp("site")
    results = place / "results"
    weeks = fill(results, machine(1), [14.0, 14.1, 13.9, 14.0, 14.0, 14.0])
    for week in (7, 8):
        keep(results, made(machine(1, driver="590.10", kernel="6.18.44-nvidia", firmware="5.36" * 30), week, 12.0))
    write_text(weeks[0] / "report.html", html.render(made(machine(1), 0)))
    failed = finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free")
    keep(results, made(machine(2, hostname="x" * 10_000), 3, 9.0, failed))
    keep(results, kept_runs.load("2026-11-27-h200/second"), name="h200")
    keep(results, hostile(), name="hostile")
    (results / "broken").mkdir()
    (results / "broken" / "run.json").write_text("<script>alert(1)</script>" * 1000, encoding="utf-8")
    (results / "half").mkdir()
    (results / "half" / "records.jsonl").touch()
    now = datetime.now(UTC)
    seen = machines.read(results, place / "pages", now, None, lambda _: None)
    return output.write(place / "pages", pages.render(seen, now, verified=False)).parent


@pytest.fixture(params=["index", "machine-spark-01-*", "machine-x*", "machine-script*"])
def page(site: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    (path,) = site.glob(f"{request.param}.html")
    return path


@pytest.mark.parametrize(("viewport", "scheme"), LOOKS)
def test_it_opens_silently_fits_and_axe_finds_nothing(
    browser: Any,
    page: Path,
    viewport: dict[str, int],
    scheme: str,
) -> None:
    visit = Visit(browser, page, color_scheme=scheme, viewport=viewport)
    assert visit.page.locator("h1").is_visible()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], "it scrolls sideways"
    background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert visit.page.locator("script, img, link, iframe, object").count() == 0
    visit.require_silence()
    assert axe(visit.page) == []


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_verdict_is_broken_within_its_word(browser: Any, site: Path, viewport: dict[str, int]) -> None:
    (path,) = site.glob("machine-spark-01-*.html")
    page = Visit(browser, path, viewport=viewport).page
    verdicts = page.locator("td[data-label=verdict] > span:first-child")
    lines = "verdict => new Set([...verdict.getClientRects()].map(box => box.top)).size"
    assert set(verdicts.evaluate_all(f"each => each.map({lines})")) == {1}


def test_every_cell_of_a_phone_says_what_it_is(browser: Any, site: Path) -> None:
    visit = Visit(browser, site / "index.html", viewport=PHONE)
    cells = visit.page.locator("td")
    assert cells.count() == 4 * visit.page.locator("tbody tr").count()
    said = cells.evaluate_all("each => each.map(cell => getComputedStyle(cell, '::before').content)")
    assert {text.strip('"') for text in said} == {"last verdict", "GPU and profile", "figures", "certificate"}
    widths = cells.evaluate_all("each => each.map(cell => cell.getBoundingClientRect().right)")
    assert max(widths) <= PHONE["width"]


def test_links_lead_from_the_index_to_a_report_and_back(browser: Any, site: Path) -> None:
    page = Visit(browser, site / "index.html", viewport=DESKTOP).page
    page.get_by_role("link", name="spark-01", exact=True).click()
    assert page.locator("h1").text_content() == "spark-01"
    page.get_by_role("link", name="report of 2026-01-05 06:00").click()
    assert page.title().startswith("CERTIFIED: spark-01")
    page.go_back()
    page.get_by_role("link", name="All machines").click()
    assert page.title() == "dgxcert: 4 machines"


def test_every_link_leads_to_a_file(browser: Any, site: Path) -> None:
    for path in site.glob("*.html"):
        page = Visit(browser, path).page
        for link in page.locator("a").evaluate_all("each => each.map(link => link.href)"):
            target = Path(re.sub(r"#.*", "", link.removeprefix("file://")))
            assert target.is_file(), link


def test_charts_are_visible_and_have_alternatives(browser: Any, site: Path) -> None:
    (path,) = site.glob("machine-spark-01-*.html")
    page = Visit(browser, path, viewport=PHONE, color_scheme="dark").page
    charts = page.locator("figure [role=img]")
    assert charts.count() == 2
    for at in range(charts.count()):
        label = charts.nth(at).get_attribute("aria-label")
        assert re.search(r" over time: [\d.]+ (to [\d.]+, median|in each of)", label)
        box = charts.nth(at).locator("svg").bounding_box()
        assert 250 < box["width"] <= PHONE["width"]
        stroke = charts.nth(at).locator("polyline").evaluate("each => getComputedStyle(each).stroke")
        assert stroke not in ("none", page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_hostile_text_is_only_text(browser: Any, site: Path) -> None:
    visit = Visit(browser, site / "index.html", viewport=PHONE)
    assert "<script>alert(1)</script>" in visit.page.locator("body").text_content()
    visit.require_silence()


def test_it_prints_on_white_with_all_machines(browser: Any, site: Path, tmp_path: Path) -> None:
    page = Visit(browser, site / "index.html", color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for at in range(page.locator("tbody tr").count()):
        assert page.locator("tbody tr").nth(at).is_visible()
    page.pdf(path=tmp_path / "index.pdf", prefer_css_page_size=True)
    assert re.findall(rb"/Type\s*/Page[^s]", (tmp_path / "index.pdf").read_bytes())
