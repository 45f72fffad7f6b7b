"""The page of a room in Chromium: light and dark, wide and on a phone, printed, and with texts that attack it."""

from pathlib import Path
from typing import Any

import pytest
from chromium import Visit, axe
from suites import rooms

from dgxcert.outcome import Outcome
from dgxcert.record.room.document import Room
from dgxcert.record.room.word import Word
from dgxcert.report import room as reports

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LOOKS = [
    pytest.param(viewport, scheme, id=f"{viewport['width']}-{scheme}")
    for viewport in (DESKTOP, PHONE)
    for scheme in ("light", "dark")
]
P, F, I = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE  # noqa: E741 (as they stand in the table below)
HOSTILE = "<img src=x onerror=alert(1)>" + "x" * 300


def wrong() -> Room:
    """Thirty machines, one of each word, an outlier, and pairs of which some failed."""
    pairs = (
        rooms.pair("spark-01", "spark-02", P, P, P),
        rooms.pair("spark-03", "spark-04", P, F, P, gbs=1.6, says="only one half of the port carried data"),
        rooms.pair("spark-05", "spark-06", gbs=None, says="spark-06 was not reached"),
        *(rooms.pair(f"spark-{at:02}", f"spark-{7 + (at - 6) % 3:02}", P, P, I) for at in (7, 8, 9)),
    )
    return rooms.room(30, quantities=12, pairs=pairs, clashes=(rooms.clash("spark-01", "spark-02"),), notes=("a note",))


def hostile() -> Room:
    hosts = (rooms.host(1, name=HOSTILE, profile=HOSTILE, run=HOSTILE), rooms.absent(2, Word.SUDO, HOSTILE))
    return rooms.room(2, hosts=hosts, pairs=(rooms.pair(HOSTILE, "b", P, F, P, says=HOSTILE),), notes=(HOSTILE,))


ROOMS = {
    "wrong": wrong,
    "well": lambda: rooms.room(30, wrong=False, quantities=12),
    "one": lambda: rooms.room(1, wrong=False),
    "many": lambda: rooms.room(300, quantities=100),
    "hostile": hostile,
}


@pytest.fixture(scope="module", params=ROOMS)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    reports.write_all(ROOMS[request.param](), folder)
    return folder / "room.html"


@pytest.mark.parametrize(("viewport", "scheme"), LOOKS)
def test_it_opens_silently_fits_and_axe_finds_nothing(
    browser: Any, page: Path, viewport: dict[str, int], scheme: str
) -> None:
    visit = Visit(browser, page, color_scheme=scheme, viewport=viewport)
    assert visit.page.locator("h1").is_visible()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], "it scrolls sideways"
    assert visit.page.locator("script, img, link, iframe, object").count() == 0
    visit.require_silence()
    assert axe(visit.page) == []


def one(folder: Path, room: Room) -> Path:
    reports.write_all(room, folder)
    return folder / "room.html"


def test_labels_of_edges_lie_between_their_machines(browser: Any, tmp_path: Path) -> None:
    page = Visit(browser, one(tmp_path, wrong()), viewport=DESKTOP).page
    boxes = "all => all.map(each => each.getBoundingClientRect()).map(box => [box.left, box.right])"
    for graph in page.locator("svg.pairs").all()[:3]:
        nodes = graph.locator("rect").evaluate_all(boxes)
        (label,) = graph.locator("line + text").evaluate_all(boxes)
        left, right = sorted(nodes)
        assert left[1] <= label[0]
        assert label[1] <= right[0]


def test_the_outlier_is_drawn_far_from_the_others(browser: Any, tmp_path: Path) -> None:
    page = Visit(browser, one(tmp_path, wrong()), viewport=DESKTOP).page
    diamond, dots = page.locator("path.outlier"), page.locator("path.outlier >> xpath=.. >> css=path.dots")
    assert diamond.count() == 1
    assert diamond.bounding_box()["x"] + diamond.bounding_box()["width"] < dots.bounding_box()["x"]


def test_the_worst_machines_stand_first_and_link_to_their_reports(browser: Any, tmp_path: Path) -> None:
    page = Visit(browser, one(tmp_path, wrong()), viewport=DESKTOP).page
    standings = page.locator("td[data-label=verdict]").all_inner_texts()
    assert "not validated" in standings[0]
    assert "CERTIFIED" in standings[-1]
    assert page.locator("tbody th a").first.get_attribute("href").endswith("/report.html")


def test_on_paper_no_machine_is_lost_and_nothing_is_folded_away(browser: Any, tmp_path: Path) -> None:
    page = Visit(browser, one(tmp_path, rooms.room(30, quantities=12)), viewport=DESKTOP).page
    page.emulate_media(media="print")
    assert page.locator("td[data-label=verdict]:visible").count() == len(rooms.room(30).hosts)
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
