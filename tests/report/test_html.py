"""report.html has no script and no network request, stays small, is reproducible, and escapes hostile text."""

import re
import time
import tracemalloc
from html.parser import HTMLParser
from typing import Any

import pytest
from suites import kept_runs
from suites.certified import KEYS, run
from suites.example import finished, opened, planned
from suites.report_runs import busy, hostile, many, whole

from dgxcert.outcome import Outcome
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import html, markdown

MOST_BYTES = 1_500_000


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails where elements do not nest."""

    VOID = {"meta", "br", "img", "link", "input", "hr"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.stack: list[str] = []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.mark.parametrize("make", [whole, hostile, busy])
def test_it_runs_no_script_and_makes_no_request(make: Any) -> None:
    page = Page(html.render(make()))
    assert not {"script", "iframe", "object", "embed", "link", "img", "base", "form"} & {
        tag for tag, _ in page.elements
    }
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "srcset", "data"}], tag
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    policy = next(a["content"] for t, a in page.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "http://" not in page.text
    assert "url(http" not in html.render(make())


def test_hostile_text_is_shown_and_has_no_effect() -> None:
    text = html.render(hostile())
    page = Page(text)
    assert "<script>alert(1)" in page.text
    assert "{{ 7*7 }}" in page.text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.encode()) < MOST_BYTES


def test_a_log_line_of_megabytes_makes_no_report_large() -> None:
    big = run(finished("DISK-SPACE", Outcome.FAILED, reason="x" * 10_000_000))
    assert len(html.render(big).encode()) < MOST_BYTES
    assert len(markdown.render(big).encode()) < 1024**2
    assert "more characters: run.json has them all" in html.render(big)


def test_the_same_run_gives_the_same_bytes() -> None:
    made = whole()
    again = Run.model_validate_json(made.model_dump_json())
    assert html.render(made) == html.render(again)


def test_every_outcome_is_named() -> None:
    text = Page(html.render(whole())).text
    for words in ("1 failed", "1 inconclusive", "1 not applicable", "2 not run", "the driver is stuck", "12 GiB free"):
        assert words in text, words
    assert "make room" in text
    assert "1 not run: deselected by --only DESELECTED" in text
    assert "1 not applicable: no such thing here EXCUSED" in text


def test_every_plot_has_a_text_alternative() -> None:
    page = Page(html.render(whole()))
    labels = [a["aria-label"] or "" for t, a in page.elements if t == "div" and a.get("role") == "img"]
    assert [label.split(":")[0] for label in labels] == [
        "Roofline",
        "GPU 0 under load",
        "History of this machine",
        "Rounds",
    ]
    assert "slowed down for heat in" in labels[1]
    assert "driver 580.95.05 → 590.10" in page.text


def test_a_server_with_many_gpus_has_every_plot() -> None:
    text = html.render(busy())
    plots = [a for t, a in Page(text).elements if t == "div" and a.get("role") == "img"]
    assert len(plots) == 3 + 8
    assert "Omitted to keep this file small" not in text
    assert "mathdefault" not in text, "ticks are numbers, not formulas"
    assert len(text.encode()) < MOST_BYTES


def test_omitted_plots_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "PLOT_BYTES", 1000)
    text = Page(html.render(whole())).text
    assert "Omitted to keep this file small: Roofline, GPU 0 under load, History of this machine, Rounds." in text


def test_code_in_a_step_is_code_and_what_it_holds_stays_text() -> None:
    steps = ("Run `nvidia-smi <b>` twice.", "a ` alone <i>")
    made = run(finished("DISK-SPACE", Outcome.FAILED, reason="full", remedy=steps))
    text = html.render(made)
    assert "<li>Run <code>nvidia-smi &lt;b&gt;</code> twice.</li>" in text
    assert "<li>a ` alone &lt;i&gt;</li>" in text


def test_the_same_software_of_several_stages_is_shown_once() -> None:
    software = kept_runs.rehearsal().software
    assert len(software) > 1
    stages = [name for name, _ in html._about(kept_runs.rehearsal()) if name.startswith("software, ")]
    shown = [stage for names in stages for stage in names.removeprefix("software, ").split(", ")]
    assert sorted(shown) == sorted(software)
    alike = dict.fromkeys(("host", "container", "after"), next(iter(software.values())))
    made = kept_runs.rehearsal().model_copy(update={"software": alike})
    assert [name for name, _ in html._about(made) if "software" in name] == ["software, host, container, after"]


def test_ids_are_unique() -> None:
    ids = [a["id"] for _, a in Page(html.render(whole())).elements if a.get("id")]
    assert len(ids) == len(set(ids))


def test_a_run_without_gpu_or_benchmark_has_no_empty_plot() -> None:
    made = runs.assemble([opened(planned("A")), finished("A")], "run")
    assert 'role="img"' not in html.render(made)


def test_a_report_of_ten_thousand_requirements_stays_small_and_shows_failures_first() -> None:
    made = many()
    began = time.monotonic()
    tracemalloc.start()
    text = html.render(made)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(text.encode()) < MOST_BYTES
    assert peak < 500e6
    assert time.monotonic() - began < 100, "make bench-report measures 10 s; tracemalloc makes it several times slower"
    shown = re.findall(r'<details class="requirement (\w+)"', text)
    assert shown.count("failed") == 100
    assert "more</h3>" in text


def test_every_key_of_a_run_is_an_id() -> None:
    text = html.render(run())
    for key in KEYS:
        assert f'id="{key}"' in text
