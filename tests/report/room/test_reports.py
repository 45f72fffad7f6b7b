"""The reports of a room say the same, stay small, and let no text out of its place."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from suites import rooms

from dgxcert.judgement.verdict import Verdict
from dgxcert.outcome import Outcome
from dgxcert.record.room.document import Compared, Room
from dgxcert.record.room.word import Word
from dgxcert.report import room as reports
from dgxcert.report.room import graph, html, markdown, prometheus, strip, terminal

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e|`*_\n# heading"


def printed(room: Room, folder: Path, width: int = 80) -> str:
    console = Console(width=width, record=True, force_terminal=True, color_system=None)
    with console.capture() as captured:
        terminal.show(room, folder, console)
    return captured.get()


def hostile() -> Room:
    hosts = (
        rooms.host(1, name=HOSTILE, profile=HOSTILE, run=f"../{HOSTILE}"),
        rooms.absent(2, Word.NO_ROUTE, HOSTILE * 100),
    )
    pairs = (rooms.pair(HOSTILE, "b", PASSED, FAILED, PASSED, says=HOSTILE),)
    return rooms.room(2, hosts=hosts, pairs=pairs, notes=(HOSTILE,), name=HOSTILE)


def test_all_reports_are_written_and_the_document_is_read_again(tmp_path: Path) -> None:
    room = rooms.room(6)
    written = reports.write_all(room, tmp_path)
    assert sorted(path.name for path in written) == ["metrics.prom", "room.html", "room.json", "summary.md"]
    assert Room.model_validate_json((tmp_path / "room.json").read_bytes()) == room


@pytest.mark.parametrize("word", [word for word in Word if word is not Word.VALIDATED])
def test_every_report_names_a_host_that_was_not_validated(word: Word, tmp_path: Path) -> None:
    room = rooms.room(1, wrong=False, hosts=(rooms.host(1), rooms.absent(2, word)), exit_code=2)
    for text in (html.render(room), markdown.render(room), printed(room, tmp_path)):
        assert f"not validated: {word.value}" in text
    assert f'dgxcert_room_host{{host="spark-02",word="{word.value}"}} 1.0' in prometheus.render(room)


def test_a_room_that_is_well_fits_on_a_screen_and_ends_with_its_counts(tmp_path: Path) -> None:
    lines = printed(rooms.room(300, wrong=False), tmp_path).splitlines()
    assert len(lines) <= 24
    assert lines[-1] == "300 CERTIFIED. All 300 machines passed."
    assert max(len(line) for line in lines if "room.html" not in line) <= 80


def test_what_is_wrong_stands_last(tmp_path: Path) -> None:
    text = printed(rooms.room(30), tmp_path)
    places = [text.index(word) for word in ("TFLOP/s", "kernel:", "decodes 9 %", "REJECTED:", "no route", "room.html")]
    assert places == sorted(places)


def test_of_hundreds_of_wrong_hosts_the_worst_are_named(tmp_path: Path) -> None:
    hosts = tuple(rooms.absent(number, Word.REFUSED) for number in range(300))
    text = printed(rooms.room(1, wrong=False, hosts=hosts, exit_code=2), tmp_path)
    assert f"{300 - terminal.MOST_HOSTS} more on the page" in text
    assert text.count("refused") <= 2 * terminal.MOST_HOSTS


def test_hostile_texts_stay_where_they_are(tmp_path: Path) -> None:
    room = hostile()
    page = html.render(room)
    assert "<script" not in page
    assert "\x1b" not in page + markdown.render(room) + printed(room, tmp_path)
    assert "\n# heading" not in markdown.render(room)
    assert not re.search(r"^# heading", printed(room, tmp_path), re.MULTILINE)
    assert list(text_string_to_metric_families(prometheus.render(room)))


def test_three_hundred_machines_are_a_small_page() -> None:
    assert len(html.render(rooms.room(300, quantities=120))) < 1_500_000


def test_of_ten_thousand_machines_the_table_holds_the_worst() -> None:
    hosts = (*(rooms.host(number, figures=()) for number in range(2000)), rooms.absent(5000, Word.DIED))
    page = html.render(rooms.room(1, wrong=False, hosts=hosts))
    assert "spark-5000" in page
    assert f"… and {2001 - html.MOST_HOSTS} more" in page


def test_a_link_leads_to_the_report_of_the_machine() -> None:
    assert 'href="spark-01/2026-12-01T02-00-00Z-spark-01/report.html"' in html.render(rooms.room(1))


def test_an_outlier_is_drawn_as_a_diamond_and_named() -> None:
    page = html.render(rooms.room(30))
    assert page.count('class="outlier"') == 1
    assert "◆" in page
    assert "spark-30 decodes 9 % slower" in page


def test_metrics_have_one_verdict_for_each_validated_machine() -> None:
    families = {family.name: family for family in text_string_to_metric_families(prometheus.render(rooms.room(3)))}
    of_verdict = [sample for sample in families["dgxcert_room_verdict"].samples if sample.value == 1]
    assert sorted(sample.labels["host"] for sample in of_verdict) == ["spark-01", "spark-02", "spark-03", "spark-04"]
    assert {sample.labels["verdict"] for sample in of_verdict} == {"CERTIFIED", "REJECTED"}
    assert len(of_verdict) == len({sample.labels["host"] for sample in of_verdict})
    (outlier,) = families["dgxcert_room_outlier_ratio"].samples
    assert (outlier.labels["host"], outlier.value) == ("spark-03", 0.09)


def test_metrics_of_a_pair_are_in_bytes_per_second() -> None:
    text = prometheus.render(rooms.room(2, pairs=(rooms.pair("a", "b", PASSED, PASSED, PASSED),)))
    assert 'dgxcert_room_pair{first="a",outcome="passed",second="b"} 1.0' in text
    assert 'dgxcert_room_pair_bytes_per_second{first="a",second="b"} 2.22e+10' in text


def test_machines_that_cables_join_are_one_graph() -> None:
    three = (PASSED, PASSED, PASSED)
    pairs = [rooms.pair(*ends, *three) for ends in (("a", "b"), ("c", "d"), ("b", "c"), ("x", "y"))]
    assert [(each.hosts, len(each.pairs)) for each in graph.graphs(pairs)] == [
        (("a", "b", "c", "d"), 3),
        (("x", "y"), 1),
    ]


def test_a_pair_that_failed_has_another_dash_than_one_that_passed() -> None:
    failed = html.render(rooms.room(2, pairs=(rooms.pair("a", "b", PASSED, FAILED, PASSED, gbs=1.6),)))
    assert 'class="edge is-bad"' in failed
    assert "✘ 1.6 GB/s" in failed
    assert 'class="edge is-good"' not in failed


def test_a_strip_of_equal_values_and_of_zeros_is_drawn() -> None:
    for value in (0.0, 5.0):
        values = {f"h{at}": value for at in range(5)}
        compared = Compared(
            profile="p",
            key="A",
            name="n",
            unit="",
            higher_is_better=True,
            values=values,
            median=value,
            scatter=0.0,
            limit=value,
        )
        assert "nan" not in strip.draw(compared)


def test_every_verdict_has_a_tone() -> None:
    assert {html.tone(rooms.host(1, verdict=verdict)) for verdict in Verdict} == {"good", "bad", "warn", "other"}
    assert html.tone(rooms.absent(1, Word.STOPPED)) == "bad"
