"""report.html is one file without script or network, small, the same each time, and harmless whatever was recorded."""

import re
import time
import tracemalloc
from html.parser import HTMLParser
from typing import Any

import pytest
from suites.certified import KEYS, SPARK, events, load, past, run, speed
from suites.example import finished, opened, planned

from dgxcert.machine.identity import Gpu
from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import html, markdown
from dgxcert.report.plots import roofline, traces

HOSTILE = (
    '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    "\x1b[2J\x1b]0;x\x07 $\\frac{1}{0}$ {{ 7*7 }} \u202e \u4e2d &lt; ]]>"
)
MOST_BYTES = 1_500_000


class Page(HTMLParser):
    """Elements, attributes and text of a page; complains of what does not nest."""

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


def whole() -> Run:
    """A run with a past, a load, rounds, and one of each outcome."""
    begun, image, *endings = events(
        finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free", remedy=("make room",)),
        earlier=past(12, slower_from=8),
    )
    assert isinstance(begun, journal.Opened)
    more = (
        planned("UNSEEN"),
        planned("EXCUSED", not_applicable="no such thing here"),
        planned("LEFT", not_run="deselected by --only"),
        planned("LOST"),
    )
    begun = begun.model_copy(update={"plan": (*begun.plan, *more)})
    unseen = finished("UNSEEN", Outcome.INCONCLUSIVE, reason="the driver is stuck")
    return runs.assemble([begun, image, *endings, unseen], "run")


def hostile() -> Run:
    gpu = Gpu(index=0, product=HOSTILE, uuid=HOSTILE, compute_capability=HOSTILE, vbios=HOSTILE)
    names: dict[str, Any] = dict.fromkeys(
        ("hostname", "product", "serial", "firmware", "driver", "cpu", "kernel"), HOSTILE
    )
    machine = SPARK.model_copy(update={**names, "gpus": (gpu,)})
    key = f"DECODE-SPEED[{HOSTILE}]"
    reading = speed(HOSTILE, 14.0).model_copy(update={"source": HOSTILE, "unit": HOSTILE})
    return runs.assemble(
        [
            opened(planned(key, why=HOSTILE), planned("B"), machine=machine, fallen=(HOSTILE,), earlier=past(3)),
            finished(key, Outcome.FAILED, reason=HOSTILE, remedy=(HOSTILE,), evidence=(reading,), traces=(load(12),)),
            finished("B", Outcome.INCONCLUSIVE, reason=HOSTILE * 200_000, remedy=(HOSTILE,)),
            journal.Interrupted(by=HOSTILE),
        ],
        HOSTILE,
    )


def busy() -> Run:
    """A server of eight GPUs: sixty benchmarks, half of them failed, each under a load that power held back."""
    keys = [f"{name}-SPEED[bf16-tuned-{at}]" for name in ("DECODE", "PREFILL", "LORA") for at in range(20)]
    endings = [
        finished(
            key,
            Outcome.FAILED if at % 2 else Outcome.PASSED,
            reason=f"{key} is slow, by far slower than the limit\n" * 5 if at % 2 else "",
            remedy=("look at the clock", "look at the power", "look at the heat") if at % 2 else (),
            evidence=(speed(key, 14.0, intensity=1 + at),),
            traces=tuple(load(10, gpu, 15 * at, held=lambda t: t % 7 < 3) for gpu in range(8)),
        )
        for at, key in enumerate(keys)
    ]
    return runs.assemble([opened(*(planned(key) for key in keys), earlier=past(60, slower_from=30)), *endings], "run")


@pytest.mark.parametrize("made", [whole, hostile, busy])
def test_it_runs_no_script_and_asks_no_network(made: Any) -> None:
    page = Page(html.render(made()))
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
    assert "url(http" not in html.render(made())


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    text = html.render(hostile())
    page = Page(text)
    assert "<script>alert(1)" in page.text
    assert "{{ 7*7 }}" in page.text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.encode()) < MOST_BYTES


def test_a_log_line_of_megabytes_makes_no_face_large() -> None:
    big = run(finished("DISK-SPACE", Outcome.FAILED, reason="x" * 10_000_000))
    assert len(html.render(big).encode()) < MOST_BYTES
    assert len(markdown.render(big).encode()) < 1024**2
    assert "more characters: run.json has them all" in html.render(big)


def test_the_same_run_gives_the_same_bytes() -> None:
    made = whole()
    again = Run.model_validate_json(made.model_dump_json())
    assert html.render(made) == html.render(again)


def test_every_outcome_is_said_in_words() -> None:
    text = Page(html.render(whole())).text
    for words in ("1 failed", "1 inconclusive", "1 not applicable", "2 not run", "the driver is stuck", "12 GiB free"):
        assert words in text, words
    assert "make room" in text
    assert "not run, deselected by --only LEFT" in text
    assert "not applicable, no such thing here EXCUSED" in text


def test_the_plots_are_there_with_words_for_who_cannot_see_them() -> None:
    page = Page(html.render(whole()))
    pictures = [a["aria-label"] or "" for t, a in page.elements if t == "div" and a.get("role") == "img"]
    assert [words.split(":")[0] for words in pictures] == [
        "Roofline",
        "How near to the limit of physics",
        "GPU 0 while it worked",
        "History of this machine",
        "Rounds",
    ]
    assert "Slowed down for heat in" in pictures[2]
    assert "driver 580.95.05 → 590.10" in page.text


def test_a_server_with_many_gpus_has_every_picture() -> None:
    text = html.render(busy())
    pictures = [a["aria-label"] or "" for t, a in Page(text).elements if t == "div" and a.get("role") == "img"]
    assert len(pictures) == 4 + 8
    assert "There is no room here to draw" not in text
    assert "mathdefault" not in text, "ticks are numbers, not formulas"
    assert len(text.encode()) < MOST_BYTES


def test_what_held_a_gpu_back_is_marked_once_for_each_time() -> None:
    seen = load(200, held=lambda t: 500 <= t < 600 or 1000 <= t < 1100).points
    first, second = traces._marks([seen], "held_back", seen[0].t, 0.0)
    assert first == (pytest.approx(50 / 60, abs=0.03), pytest.approx(60 / 60, abs=0.03))
    assert second == (pytest.approx(100 / 60, abs=0.03), pytest.approx(110 / 60, abs=0.03))
    assert len(traces._marks([seen], "held_back", seen[0].t, 1.0)) == 1, "marks that touch are one"


def test_what_there_is_no_room_to_draw_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "PLOT_BYTES", 1000)
    text = Page(html.render(whole())).text
    assert "There is no room here to draw: Roofline, How near to the limit of physics" in text


def test_ids_are_unique() -> None:
    ids = [a["id"] for _, a in Page(html.render(whole())).elements if a.get("id")]
    assert len(ids) == len(set(ids))


def test_the_roofline_puts_a_workload_where_its_figures_say() -> None:
    item = speed("decode", 14.0, intensity=2.0)
    ((x, y),) = roofline._points((item,))
    assert (x, y) == (2.0, pytest.approx(14.0 / 20.0 * 0.54))


def test_a_run_without_gpu_or_benchmark_has_no_empty_picture() -> None:
    made = runs.assemble([opened(planned("A")), finished("A")], "run")
    assert 'role="img"' not in html.render(made)
    assert traces.plots(made) == []


def many() -> Run:
    """10,000 requirements, and two hours of samples."""
    keys = [f"CHECK-{number}" for number in range(10_000)]
    endings = [
        finished(
            key,
            Outcome.FAILED if number % 100 == 0 else Outcome.PASSED,
            reason="it is wrong" if number % 100 == 0 else "",
            evidence=(speed(key, 14.0),) if number < 60 else (),
            traces=(load(7200),) if number == 0 else (),
        )
        for number, key in enumerate(keys)
    ]
    return runs.assemble([opened(*(planned(key) for key in keys)), *endings], "run")


def test_a_report_of_very_much_stays_small_and_shows_failures_first() -> None:
    made = many()
    began = time.monotonic()
    tracemalloc.start()
    text = html.render(made)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(text.encode()) < MOST_BYTES
    assert peak < 500e6
    assert time.monotonic() - began < 100, "ten seconds are measured by make bench-report; tracing costs much"
    shown = re.findall(r'<details class="requirement (\w+)"', text)
    assert shown.count("failed") == 100
    assert "more</h3>" in text


def test_every_key_of_a_normal_run_is_there() -> None:
    text = html.render(run())
    for key in KEYS:
        assert f'id="{key}"' in text
