"""Every text of a run made hostile, and what each output shows of it: the terminal, and all reports."""

import copy
import io
import json
import random
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from attacks.attack import Attack, Harm, Try
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError
from suites import certified
from suites.example import finished

from dgxcert.cli import screen
from dgxcert.history.comparison import Change, Compared
from dgxcert.outcome import Outcome
from dgxcert.record import journal
from dgxcert.record import run as runs
from dgxcert.record.run import Run
from dgxcert.report import comparison_table, html, junit, markdown, prometheus, terminal
from dgxcert.site import machines, pages

FORGED = "CERTIFIED (limits: 31 measured, 24 published, 14 derived): every requirement holds (exit 0)"
HOSTILE = {
    "clears the screen": "\x1b[2J\x1b[1;1H",
    "a link": "\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\",
    "the clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "C1": "\x9b31m\x90q\x9c",
    "NUL and others": "\x00\x01\x07\x08\x0b\x0c\x7f",
    "carriage return": f"a\r{FORGED}",
    "lines": f"a\n{FORGED}\n# {FORGED}\n```\n",
    "separators": f"a\u2028{FORGED}\u2029\x85",
    "overrides": "\u202eDEIFITREC\u2066x\u2069\u200e\u061c",
    "no width": "CERT\u200bIF\u2060IED\ufeff\u00ad\u034f\u3164\U000e0041",
    "no characters": "\ufffe\uffff\ufdd0\ue000\U0010ffff",
    "markup of rich": "[bold red]x[/] [link=http://x]y[/link] :warning: [/]",
    "HTML": "\"'><script>alert(1)</script><img src=x onerror=alert(1)></svg></style>",
    "XML": "]]><failure/><!-- & &#x1b; &amp;",
    "Markdown": "| `x` *y* [z](http://x) <b> \\| # h",
    "labels": 'a"} 1\nforged{x="\\',
    "templates": "{{ 7*7 }} {% x %} ${7*7} $\\frac{1}{0}$",
}
Output = Callable[[Run], str]


def tries(folder: Path, seed: int, *, quick: bool) -> Iterator[Try]:
    """Each hostile text in all fields at once; then a mixture in a part of them."""
    usual = _usual()
    texts = list(HOSTILE.items())
    outputs: dict[str, Output] = {
        "terminal": _terminal,
        "comparison": _comparison,
        "junit.xml": junit.render,
        "summary.md": markdown.render,
        "metrics.prom": prometheus.render,
        "site page": _site,
    } | ({} if quick else {"report.html": html.render})
    chance = random.Random(seed)
    for name, text in texts if not quick else chance.sample(texts, 3):
        yield from _of_run(name, _hostile(usual, lambda text=text: text), outputs)
    for number in range(1 if quick else 8):
        run = _hostile(usual, lambda: chance.choice(texts)[1] if chance.random() < 0.5 else None)
        yield from _of_run(f"mixture {number}", run, outputs)
    yield from _lone_surrogate(usual)


def _site(run: Run) -> str:
    """The index and the machine's page of a results folder with this run alone."""
    now = datetime(2026, 12, 24, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as results:
        folder = Path(results) / "run"
        folder.mkdir()
        (folder / runs.NAME).write_text(run.model_dump_json(), encoding="utf-8")
        seen = machines.read(Path(results), Path(results) / "pages", now, None, lambda _: None)
    if not seen.machines:
        raise AssertionError(seen.unreadable)
    return "".join(pages.render(seen, now, verified=False).values())


def _usual() -> dict[str, Any]:
    """A rejected run, as run.json holds it, with a history, a waiver and traces."""
    failed = finished("DISK-SPACE", Outcome.FAILED, reason="12 GiB free", remedy=("Free some space.",))
    events = [*certified.events(failed, earlier=certified.past(4)), journal.Interrupted(by="Ctrl-C", key="DISK-SPACE")]
    content: dict[str, Any] = json.loads(runs.assemble(events, "run").model_dump_json())
    return content


def _hostile(usual: dict[str, Any], pick: Callable[[], str | None]) -> Run:
    """The run with every text and key replaced that a run may hold: what does not validate is put back."""
    content = copy.deepcopy(usual)
    places = [place for place in _texts(content) if (text := pick()) is not None and _put(content, place, text) is None]
    for _ in range(40):
        try:
            return Run.model_validate(content)
        except ValidationError as error:
            for problem in error.errors():
                for place in _nearest(problem["loc"], places):
                    _put(content, place, _at(usual, place))
    raise AssertionError("no text of a run can be hostile")


def _texts(content: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(content, str):
        return [place]
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [found for key, value in entries for found in _texts(value, (*place, key))]


def _at(content: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        content = content[key]
    return content


def _put(content: Any, place: tuple[Any, ...], text: Any) -> None:
    _at(content, place[:-1])[place[-1]] = text


def _nearest(location: tuple[Any, ...], places: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The texts that an error of pydantic is about: those below the longest part of its location that leads to any."""
    for length in range(len(location), -1, -1):
        if found := [place for place in places if place[:length] == location[:length]]:
            return found
    return []


def _of_run(name: str, run: Run, outputs: dict[str, Output]) -> Iterator[Try]:
    for output, render in outputs.items():
        try:
            shown = render(run)
            yield Try(f"{name}: {output}", *_harm(output, shown))
        except Exception as error:
            yield Try(f"{name}: {output}", Harm.TRACEBACK, f"{type(error).__name__}: {error}")


def _harm(output: str, shown: str) -> tuple[Harm | None, str]:
    """What is wrong with an output; nothing of a hostile text may act."""
    if found := {char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}} - {"\n"}:
        return Harm.ESCAPE, f"raw {sorted(map(ascii, found))}"
    lines = shown.splitlines()
    if output in ("terminal", "comparison", "summary.md") and any(re.match(r"(# )?CERTIFIED", line) for line in lines):
        fenced = output == "summary.md" and not any(line.startswith("# CERTIFIED") for line in _outside_fences(lines))
        if not fenced:
            return Harm.WRONG, "a forged verdict begins a line"
    if output == "junit.xml":
        ElementTree.fromstring(shown)
    if output == "metrics.prom":
        list(text_string_to_metric_families(shown))
        if any(line.startswith("forged") for line in lines):
            return Harm.WRONG, "a forged metric"
    if output in ("report.html", "site page") and re.search(r"<script|<img|\s7\*7\s=\s49|<failure", shown):
        return Harm.ESCAPE, "an element of the hostile text"
    return None, ""


def _outside_fences(lines: list[str]) -> Iterator[str]:
    """Lines of Markdown that are not within a block of code."""
    inside = False
    for line in lines:
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            yield line


def _terminal(run: Run) -> str:
    file = io.StringIO()
    terminal.show(run, screen.console(file), f"results/{run.name}")
    return file.getvalue()


def _comparison(run: Run) -> str:
    file = io.StringIO()
    compared = [Compared(each.key, Change.MISSING, reason=each.reason) for each in run.results]
    other = run.model_copy(update={"machine": certified.SPARK, "name": "other"})
    comparison_table.show(compared, run, other, 1, screen.console(file))
    return file.getvalue()


def _lone_surrogate(usual: dict[str, Any]) -> Iterator[Try]:
    """A text that no encoding has, as a byte of a file name that is no UTF-8 becomes, is shown as an escape."""
    for name in ("\ud800", "file-\udcff.log"):
        try:
            run = Run.model_validate(usual).model_copy(update={"notes": (name,), "name": name})
            for render in (_terminal, junit.render, markdown.render, prometheus.render):
                render(run).encode("utf-8")
        except UnicodeEncodeError as error:
            yield Try(f"surrogate {name!a}", Harm.TRACEBACK, str(error))
        else:
            yield Try(f"surrogate {name!a}")


ATTACK = Attack(
    "texts of a run", "every field with escapes, overrides, markup, HTML, forged lines, in seven outputs", tries
)
